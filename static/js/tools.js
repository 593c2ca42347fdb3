// What can be done with an answer: ask for it again, edit its question, say what one thinks of it.

import { part } from "./conversation.js";
import { gettext } from "./words.js";

const VERDICTS = ["up", "down"];

export class Tools {
  // `actions`: again(exchange), edit(exchange), rate(run, rating, comment): the last returns whether it was sent.
  constructor(exchange, actions) {
    this.exchange = exchange;
    this.actions = actions;
    this.data = exchange.element.dataset;
    this.form = this.part("comment");
    this.part("again").addEventListener("click", () => actions.again(exchange));
    this.part("edit").addEventListener("click", () => actions.edit(exchange));
    for (const verdict of VERDICTS) {
      // Pressed again, it is taken back.
      this.part(verdict).addEventListener("click", () => {
        const rating = this.data.rating === verdict ? null : verdict;
        this.send(rating, rating === null ? "" : this.data.comment);
      });
    }
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(this.data.rating, this.form.elements.comment.value.trim());
    });
    this.show();
  }

  part(name) {
    return part(this.exchange.element, name);
  }

  send(rating, comment) {
    if (!this.actions.rate(this.data.run, rating, comment)) this.say(gettext("There is no connection right now."));
  }

  rated(rating, comment) {
    const isComment = comment !== this.data.comment;
    const hadFocus = this.form.contains(document.activeElement);
    this.data.rating = rating ?? "";
    this.data.comment = comment;
    this.show();
    this.form.hidden = rating === null || isComment;
    this.say(isComment && comment ? gettext("Thank you. Your comment is kept.") : "");
    if (hadFocus && this.form.hidden) this.part(rating ?? "up").focus();
    this.exchange.conversation.toEnd();
  }

  refused(sentence) {
    this.say(sentence);
  }

  // Another version of the answer is rated anew.
  begin() {
    this.data.rating = this.data.comment = "";
    this.form.hidden = true;
    this.say("");
    this.show();
  }

  // Only the last question can be asked again, and not while an answer is written.
  setLast(isLast) {
    const buttons = [this.part("again"), this.part("edit")];
    // A focused button that disappears would lose the keyboard's place.
    if (!isLast && buttons.includes(document.activeElement)) {
      this.exchange.conversation.log.focus({ preventScroll: true });
    }
    for (const button of buttons) button.hidden = !isLast;
  }

  show() {
    for (const verdict of VERDICTS) this.part(verdict).setAttribute("aria-pressed", String(this.data.rating === verdict));
    this.form.elements.comment.value = this.data.comment;
  }

  say(words) {
    const note = this.part("comment-note");
    note.textContent = words;
    note.hidden = words === "";
  }
}
