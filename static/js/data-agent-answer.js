// The answer in words. Each number in it leads to the row it is from.

import { part } from "./conversation.js";
import { gettext, interpolate } from "./words.js";

const BY = {
  model: gettext("Worded by the model. Each underlined number leads to its row; the tables are the source."),
  rule: gettext("Made from the table below, without the model."),
};

const UNFOUND = gettext("A number with a question mark stands in no result: the model worked it out, so check it.");

export class Answer {
  // `trace(step, row)` shows where a number is from.
  constructor(root, trace) {
    this.box = part(root, "answer-box");
    this.words = part(root, "answer");
    this.footnote = part(root, "footnote");
    this.trace = trace;
  }

  show({ answer, answer_parts: parts, answer_source: source }) {
    this.box.hidden = answer === "";
    this.words.replaceChildren(...parts.map((piece) => this.piece(piece)));
    const unfound = parts.some((piece) => piece.found === false);
    this.footnote.textContent = [BY[source], unfound && UNFOUND].filter(Boolean).join(" ");
  }

  piece({ text, found, step, row }) {
    if (found === false) return unfoundNumber(text);
    if (!step || row === null) return document.createTextNode(text);
    const link = document.createElement("a");
    link.href = `#step-${step}`;
    link.className = "trace";
    link.textContent = text;
    link.title = interpolate(gettext("From row %(row)s of the result"), { row: row + 1 });
    link.addEventListener("click", (event) => {
      event.preventDefault();
      this.trace(step, row);
    });
    return link;
  }
}

function unfoundNumber(text) {
  const mark = document.createElement("mark");
  mark.className = "unfound";
  mark.title = gettext("Stands in no result");
  mark.textContent = `${text}\u202f?`;
  return mark;
}
