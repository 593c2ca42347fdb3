// A field for SQL: a textarea whose own text is transparent, over the same text in colours. Everything that would run is
// in sight: lines are wrapped and the field grows, nothing is scrolled away.

import { part } from "./conversation.js";
import { highlight } from "./sql-highlight.js";

export class Editor {
  // `changed()` is called whenever the person has typed.
  constructor(root, changed) {
    this.field = part(root, "sql");
    this.paint = part(root, "paint");
    this.field.addEventListener("input", () => {
      this.colour();
      changed();
    });
    this.field.addEventListener("keydown", (event) => this.indent(event));
  }

  get text() {
    return this.field.value;
  }

  set text(sql) {
    this.field.value = sql;
    this.colour();
  }

  focus() {
    this.field.focus();
  }

  colour() {
    // A last line without characters has no height in a <pre>.
    const text = this.text.endsWith("\n") || this.text === "" ? `${this.text} ` : this.text;
    this.paint.replaceChildren(highlight(text));
  }

  // A new line begins below the one before. Tab is left alone: it leads to the buttons.
  indent(event) {
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.shiftKey || event.isComposing) return;
    const before = this.text.slice(0, this.field.selectionStart);
    const indentation = /(?:^|\n)([ \t]+)[^\n]*$/.exec(before)?.[1];
    if (!indentation) return;
    // The one way to insert text that Ctrl+Z takes back; without it the browser's own new line has to do.
    if (document.execCommand("insertText", false, `\n${indentation}`)) event.preventDefault();
  }
}
