// What is being worked on, in words, for how long, and the button that ends it.

import { part } from "./conversation.js";
import { gettext } from "./words.js";

const WORK = {
  proposing: { words: gettext("Looking for a query"), stop: gettext("Stop") },
  checking: { words: gettext("Checking the query"), stop: gettext("Stop") },
  running: { words: gettext("Running the query, which may take up to 10 seconds"), stop: gettext("Cancel the query") },
  answering: { words: gettext("Putting the result into words"), stop: gettext("Stop") },
};
const WORTH_COUNTING = 2; // seconds

export class Progress {
  constructor(root, { stop, say }) {
    this.element = part(root, "progress");
    this.words = part(root, "progress-words");
    this.button = part(root, "stop");
    this.say = say;
    this.what = null;
    this.button.addEventListener("click", stop);
  }

  get isWorking() {
    return this.what !== null;
  }

  show(what) {
    this.what = what;
    const { words, stop } = WORK[what] ?? { words: gettext("Working"), stop: gettext("Stop") };
    this.button.textContent = stop;
    this.element.hidden = false;
    this.say(`${words}.`);
    const began = performance.now();
    clearInterval(this.clock);
    this.count(words, 0);
    this.clock = setInterval(() => this.count(words, Math.floor((performance.now() - began) / 1000)), 1000);
  }

  count(words, seconds) {
    this.words.textContent = seconds < WORTH_COUNTING ? `${words}…` : `${words}… ${seconds} s`;
  }

  end() {
    this.what = null;
    clearInterval(this.clock);
    this.element.hidden = true;
  }
}
