// What the visitor may still ask, below each composer, and the wait where it is used up. All chats share one budget.

import { part } from "./conversation.js";
import { gettext, interpolate, ngettext, number } from "./words.js";

const UNTIL = "about:wait";
const SOON = 300; // milliseconds in which several reasons to look make one look

export class Budget {
  constructor(...chats) {
    this.chats = chats.map(({ composer, conversation }) => ({ composer, conversation, line: part(composer.form, "budget") }));
    // Milliseconds since 1970; it survives a reload, as the draft does.
    this.until = Number(sessionStorage.getItem(UNTIL) ?? 0);
    this.looking = undefined;
    this.counting = undefined;
    for (const { composer, conversation } of this.chats) {
      composer.form.addEventListener("accepted", () => this.lookSoon());
      composer.form.addEventListener("refused", ({ detail }) => detail.retryAfter && this.wait(detail.retryAfter));
      conversation.list.addEventListener("ended", () => this.lookSoon());
    }
    if (this.until > Date.now()) this.count();
    else this.look();
  }

  lookSoon() {
    this.looking ??= setTimeout(() => this.look(), SOON);
  }

  async look() {
    clearTimeout(this.looking);
    this.looking = undefined;
    let words = "";
    try {
      const response = await fetch("/api/budget/");
      // 204: nobody knows.
      if (response.status === 200) words = inWords(await response.json());
    } catch {
      // Nothing is said while nothing is known.
    }
    if (!this.counting) this.say(words);
  }

  wait(seconds) {
    this.until = Date.now() + seconds * 1000;
    sessionStorage.setItem(UNTIL, String(this.until));
    this.count();
  }

  count() {
    clearTimeout(this.counting);
    const left = Math.ceil((this.until - Date.now()) / 1000);
    if (left > 0) {
      this.say(interpolate(gettext("You can ask again in %(time)s"), { time: clock(left) }), "bad");
      this.counting = setTimeout(() => this.count(), 1000);
      return;
    }
    this.counting = undefined;
    for (const { composer, conversation } of this.chats) {
      if (composer.forgive()) conversation.announce(gettext("You can ask again."));
    }
    this.look();
  }

  say(words, tone = "") {
    for (const { line } of this.chats) {
      line.textContent = words;
      line.dataset.tone = tone;
      line.hidden = words === "";
    }
  }
}

// The window in which fewer questions are left, and the tokens, as far as there are limits.
function inWords({ per_minute: minute, per_hour: hour, tokens_per_day: tokens }) {
  const questions = [
    [minute, ofMinute],
    [hour, ofHour],
  ].filter(([left]) => left !== null);
  const [fewest] = questions.sort(([one], [other]) => one - other);
  return [
    fewest && interpolate(fewest[1](fewest[0]), { count: number(fewest[0]) }),
    tokens !== null && interpolate(ngettext("%(count)s token today", "%(count)s tokens today", tokens), { count: number(tokens) }),
  ]
    .filter(Boolean)
    .join(", ");
}

function ofMinute(left) {
  if (left === 0) return gettext("No questions left this minute");
  return ngettext("%(count)s question left this minute", "%(count)s questions left this minute", left);
}

function ofHour(left) {
  if (left === 0) return gettext("No questions left this hour");
  return ngettext("%(count)s question left this hour", "%(count)s questions left this hour", left);
}

function clock(seconds) {
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}`;
}
