// One question for both chats: a box in each composer, ticked in all of them or in none, and remembered.

import { part } from "./conversation.js";

const TICKED = "about:both";

export class Both {
  constructor(...composers) {
    this.composers = composers;
    this.boxes = composers.map((composer) => part(composer.form, "both"));
    for (const box of this.boxes) box.addEventListener("change", () => this.tick(box.checked));
    for (const composer of composers) composer.form.addEventListener("asked", (event) => this.pass(composer, event.detail));
    this.tick(sessionStorage.getItem(TICKED) === "yes");
  }

  tick(ticked) {
    for (const box of this.boxes) box.checked = ticked;
    sessionStorage.setItem(TICKED, ticked ? "yes" : "");
  }

  pass(asked, text) {
    if (!this.boxes[0].checked) return;
    for (const composer of this.composers) if (composer !== asked) composer.take(text);
  }
}
