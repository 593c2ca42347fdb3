// What the guard says of a query: as it was proposed, or as it is being written.

import { part } from "./conversation.js";
import { gettext } from "./words.js";

const PAUSE = 400; // milliseconds without a key, before a text that is being written is sent to be checked
const SIGNS = { allowed: "✓", refused: "✗", checking: "…", unknown: "?" };

export class Verdict {
  // `ask(sql, number)` has a text checked; it returns whether it could. The number comes back with the verdict.
  constructor(root, ask) {
    this.element = part(root, "verdict");
    this.sign = part(root, "verdict-sign");
    this.words = part(root, "verdict-words");
    this.reasons = part(root, "reasons");
    this.ask = ask;
    this.number = 0;
  }

  // The verdict on the text that is proposed.
  show({ state, sql, reasons, warnings }) {
    this.forget();
    const nothing = gettext("There is no query yet. Write one here, or skip and ask in other words.");
    if (state === "blocked" && sql === "") this.say("refused", nothing, reasons);
    else if (state === "blocked") this.refuse(reasons);
    else if (state === "proposed") this.allow(warnings);
    else this.say("unknown", gettext("Too much time has passed. Check it again, then approve it."));
  }

  hide() {
    this.forget();
    this.element.hidden = true;
  }

  // Another text is being written.
  edited(sql) {
    this.forget();
    this.say("checking", gettext("Checking as you type…"));
    this.timer = setTimeout(() => {
      if (!this.ask(sql, this.number)) this.say("unknown", gettext("Not checked: there is no connection right now."));
    }, PAUSE);
  }

  // The verdict on a text that is being written has come. Returns whether it is still of use.
  arrived({ number, allowed, reasons, warnings }) {
    if (number !== this.number) return false;
    if (allowed) this.allow(warnings);
    else this.refuse(reasons);
    return true;
  }

  // What was asked before is of no use any more.
  forget() {
    clearTimeout(this.timer);
    this.number += 1;
  }

  allow(warnings) {
    this.say("allowed", [gettext("The guard allows this query."), ...warnings].join(" "));
  }

  refuse(reasons) {
    this.say("refused", gettext("This query cannot run:"), reasons);
  }

  say(tone, words, reasons = []) {
    this.element.hidden = false;
    this.element.dataset.tone = tone;
    this.sign.textContent = SIGNS[tone];
    this.words.textContent = words;
    this.reasons.hidden = reasons.length === 0;
    this.reasons.replaceChildren(
      ...reasons.map((reason) => {
        const item = document.createElement("li");
        item.textContent = reason;
        return item;
      }),
    );
  }
}
