// Asks one question through all doors, and draws what was measured above each other.

import { DOORS } from "./compare-doors.js";
import { Refusal } from "./composer.js";
import { part } from "./conversation.js";
import { setHtml } from "./html.js";
import { draw } from "./timeline.js";
import { gettext } from "./words.js";

const WORDS = { answered: gettext("Done"), stopped: gettext("Stopped"), failed: gettext("No answer could be given") };

class Door {
  constructor(element) {
    this.element = element;
    this.open = DOORS[element.dataset.door];
    this.answer = part(element, "answer");
    this.say("idle", "");
  }

  say(state, words) {
    this.element.dataset.state = state;
    part(this.element, "state").textContent = words;
  }

  clear() {
    this.answer.replaceChildren();
    this.say("waiting", gettext("Not asked yet"));
  }

  // Returns the measured timeline's trace, null where there is none.
  async ask(text, signal) {
    this.say("busy", gettext("Asked, waiting for the answer…"));
    const grow = (words, restart) => {
      if (restart) this.answer.replaceChildren();
      this.answer.append(words);
      this.answer.scrollTop = this.answer.scrollHeight;
    };
    let end;
    try {
      end = await this.open(text, { signal, text: grow });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.say("failed", error.message);
      return null;
    }
    if (end.html) setHtml(this.answer, end.html);
    end.stopwatch.end(this.answer.textContent.trim() !== "");
    this.say(end.state, end.error || WORDS[end.state]);
    return (await end.stopwatch.report())?.trace ?? null;
  }
}

class Comparison {
  constructor(root) {
    this.form = part(root, "form");
    this.field = this.form.elements.message;
    this.refusal = part(root, "refusal");
    this.sendButton = part(root, "send");
    this.stopButton = part(root, "stop");
    this.drawing = part(root, "drawing");
    this.doors = [...root.querySelectorAll("[data-door]")].map((element) => new Door(element));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.begin(this.field.value.trim());
    });
    this.stopButton.addEventListener("click", () => this.aborting.abort());
    this.sendButton.disabled = false;
  }

  async begin(text) {
    this.refusal.hidden = text !== "";
    if (text === "") {
      this.refusal.textContent = gettext("The question is empty. Please write something.");
      this.field.focus();
      return;
    }
    this.aborting = new AbortController();
    const { signal } = this.aborting;
    this.setBusy(true);
    this.drawing.replaceChildren();
    for (const door of this.doors) door.clear();
    try {
      const traces = this.form.elements.order.value === "together" ? await this.together(text, signal) : await this.inTurn(text, signal);
      const measured = traces.filter((trace) => trace !== null);
      if (measured.length > 0) await draw(this.drawing, measured);
    } finally {
      this.setBusy(false);
    }
  }

  together(text, signal) {
    return Promise.all(this.doors.map((door) => door.ask(text, signal)));
  }

  async inTurn(text, signal) {
    const traces = [];
    for (const door of this.doors) {
      if (signal.aborted) door.say("stopped", gettext("Not asked, because you stopped"));
      else traces.push(await door.ask(text, signal));
    }
    return traces;
  }

  setBusy(busy) {
    // A focused button that disappears would lose the keyboard's place.
    const hadFocus = document.activeElement === this.stopButton || document.activeElement === this.sendButton;
    this.form.setAttribute("aria-busy", String(busy));
    this.sendButton.disabled = busy;
    this.stopButton.hidden = !busy;
    if (hadFocus) (busy ? this.stopButton : this.sendButton).focus();
  }
}

new Comparison(document.getElementById("compare"));
