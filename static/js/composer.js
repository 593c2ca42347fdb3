// The form under a conversation. What was typed stays until it is accepted, also over a reload.

import { part } from "./conversation.js";
import { gettext, interpolate, number } from "./words.js";

const LONGEST = 4000;
const NEARLY = 3600;
const LOW_LINES = 8;
const OCCUPIED = gettext("This chat still has an answer on its way, or no connection. The question was not asked here.");

// Thrown by whoever takes a message: it was not accepted, for the reason in the message. Where it is accepted after a
// wait, `retryAfter` is in seconds.
export class Refusal extends Error {
  constructor(message, retryAfter = null) {
    super(message);
    this.retryAfter = retryAfter;
  }
}

export class Composer {
  // `send(text)` resolves when the message is accepted.
  constructor(panel, send) {
    this.send = send;
    this.form = part(panel, "composer");
    this.field = this.form.elements.message;
    this.button = part(panel, "send");
    this.counter = part(panel, "counter");
    this.refusal = part(panel, "refusal");
    this.draft = `draft:${panel.id}`;
    this.open = true;
    this.sending = false;
    this.waits = false; // whether what was refused may be sent after a wait
    this.suggested = null; // what was taken from the suggestions
    this.field.value ||= sessionStorage.getItem(this.draft) ?? "";
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.field.addEventListener("input", () => this.changed());
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.submit();
    });
    for (const suggestion of panel.querySelectorAll('[data-part="suggestion"]')) {
      suggestion.addEventListener("click", () => this.suggest(suggestion.textContent));
    }
    this.editing = null; // while another text is edited here: {draft, left}
    this.editBar = part(panel, "editing");
    part(panel, "leave")?.addEventListener("click", () => this.leave());
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.editing) this.leave();
    });
    // What came with the page: it was sent before this was here.
    const reason = this.refusal.textContent;
    this.changed();
    if (reason) this.explain(reason);
  }

  // Has another text edited in place of the draft, which comes back afterwards; `left()` is called then.
  edit(text, left) {
    this.leave();
    this.editing = { draft: this.field.value, left };
    this.editBar.hidden = false;
    this.fill(text);
  }

  leave() {
    if (!this.editing) return;
    const { draft, left } = this.editing;
    this.editing = null;
    this.editBar.hidden = true;
    this.field.value = draft;
    this.changed();
    left();
  }

  // A closed composer can be written in, but sends nothing.
  setOpen(open) {
    this.open = open;
    this.button.disabled = !open || this.sending;
  }

  fill(text) {
    this.put(text);
    this.field.focus();
  }

  put(text) {
    this.field.value = text;
    this.changed();
  }

  // Takes the place of an empty draft or of another suggestion, and of nothing else.
  suggest(text) {
    const draft = this.field.value.trimEnd();
    const written = draft !== "" && draft !== this.suggested;
    this.suggested = text;
    this.fill(written ? `${draft}\n${text}` : text);
  }

  async submit() {
    if (!this.open || this.sending) return;
    const text = this.field.value.trim();
    if (text === "") return this.refuse(gettext("The message is empty. Please write something."));
    if (length(text) > LONGEST) {
      const sentence = gettext("The message has more than %(most)s characters. Please shorten it.");
      return this.refuse(interpolate(sentence, { most: number(LONGEST) }));
    }
    if (!this.editing) this.tell("asked", text);
    const reason = await this.deliver(text);
    if (reason !== null) return this.refuse(reason);
    if (this.editing) this.leave();
    else this.put("");
  }

  // Asks what was asked elsewhere. A draft stays; where there is none, a text that is refused becomes it.
  async take(text) {
    const reason = this.open && !this.sending ? await this.deliver(text) : OCCUPIED;
    if (reason === null) return;
    if (this.field.value.trim() === "") this.put(text);
    this.explain(reason);
  }

  // Returns why a text was refused, null where it was accepted.
  async deliver(text) {
    this.setSending(true);
    try {
      await this.send(text);
      this.tell("accepted");
      return null;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.tell("refused", error);
      this.waits = error.retryAfter !== null;
      return error.message;
    } finally {
      this.setSending(false);
    }
  }

  tell(name, detail) {
    this.form.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // The wait is over. Returns whether somebody waited here.
  forgive() {
    const waited = this.waits;
    if (waited) this.hideRefusal();
    return waited;
  }

  hideRefusal() {
    this.waits = false;
    this.refusal.hidden = true;
    this.field.removeAttribute("aria-invalid");
  }

  refuse(sentence) {
    this.explain(sentence);
    this.field.focus();
  }

  explain(sentence) {
    this.refusal.textContent = sentence;
    this.refusal.hidden = false;
    this.field.setAttribute("aria-invalid", "true");
  }

  setSending(sending) {
    this.sending = sending;
    this.field.readOnly = sending;
    this.form.setAttribute("aria-busy", String(sending));
    this.setOpen(this.open);
  }

  changed() {
    this.hideRefusal();
    if (!this.editing) sessionStorage.setItem(this.draft, this.field.value);
    const count = length(this.field.value.trim());
    this.counter.hidden = count < NEARLY;
    this.counter.textContent = interpolate(gettext("%(count)s of %(most)s"), { count: number(count), most: number(LONGEST) });
    this.counter.classList.toggle("over", count > LONGEST);
    this.field.rows = Math.min(LOW_LINES, Math.max(2, this.field.value.split("\n").length));
  }
}

// In characters as the server counts them, not in UTF-16 units.
function length(text) {
  return [...text].length;
}
