// Shows how far the fetch of the better model is, and loads the page anew when it has ended.

import { Backoff, pause } from "./pause.js";
import { gettext } from "./words.js";

const EVERY = 1000;

async function follow(card) {
  const part = (name) => card.querySelector(`[data-part="${name}"]`);
  const backoff = new Backoff(EVERY, 15_000);
  for (;;) {
    try {
      const response = await fetch(card.dataset.progressUrl, { headers: { Accept: "application/json" } });
      const progress = await response.json();
      if (progress.state !== "running") {
        location.reload();
        return;
      }
      part("bar").value = progress.percent;
      part("amount").textContent = progress.sentence;
      part("trouble").hidden = true;
      backoff.reset();
      await pause(EVERY);
    } catch {
      part("trouble").textContent = gettext("The site does not answer. Trying again; the fetch ends when the site is stopped.");
      part("trouble").hidden = false;
      await pause(backoff.take());
    }
  }
}

const card = document.getElementById("better-model");
if (card && "running" in card.dataset) {
  follow(card);
}
