// How long a proposal can still be approved, in words.

import { gettext, interpolate } from "./words.js";

const SOON = 60; // seconds: from here on it is said aloud, and the words change more often

export class Expiry {
  // `expired()` is called when the time is over, `soon()` once when it is nearly so.
  constructor(element, { soon, expired }) {
    this.element = element;
    this.soon = soon;
    this.expired = expired;
  }

  // `seconds` from now, null for what does not expire.
  watch(seconds) {
    clearTimeout(this.timer);
    this.element.hidden = seconds === null;
    if (seconds === null) return;
    this.end = performance.now() + seconds * 1000;
    this.warned = seconds <= SOON;
    this.tick();
  }

  tick() {
    const left = Math.ceil((this.end - performance.now()) / 1000);
    if (left <= 0) {
      this.element.hidden = true;
      return this.expired();
    }
    this.element.textContent = inWords(left);
    this.element.dataset.tone = left <= SOON ? "warn" : "";
    if (left <= SOON && !this.warned) {
      this.warned = true;
      this.soon();
    }
    // A second is exact enough, and a machine that slept is noticed at once.
    this.timer = setTimeout(() => this.tick(), 1000);
  }
}

function inWords(seconds) {
  if (seconds > 90) {
    const minutes = Math.round(seconds / 60);
    return interpolate(gettext("Can be approved for about %(minutes)s more minutes"), { minutes });
  }
  if (seconds > SOON) return gettext("Can be approved for about one more minute");
  if (seconds <= 10) return gettext("Can be approved for a few more seconds");
  const tens = Math.ceil(seconds / 10) * 10;
  return interpolate(gettext("Can be approved for %(seconds)s more seconds"), { seconds: tens });
}
