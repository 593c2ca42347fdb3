// A few rows of a table that can be queried, fetched when they are wanted.

import { part } from "./conversation.js";
import { formatter } from "./data-agent-cells.js";
import { gettext } from "./words.js";

export class Sample {
  constructor(root) {
    this.root = root;
    this.button = part(root, "sample-load");
    this.words = part(root, "sample-words");
    this.button.addEventListener("click", () => this.load());
  }

  async load() {
    this.say(gettext("Fetching sample rows…"));
    try {
      const answer = await fetch(this.root.dataset.url);
      const { columns, rows, error } = await answer.json();
      if (error) this.say(error.message);
      else this.show(columns, rows);
    } catch {
      this.say(gettext("The sample rows cannot be fetched right now. Please try again in a moment."));
    }
  }

  say(text) {
    this.words.textContent = text;
    this.words.hidden = text === "";
  }

  show(columns, rows) {
    const table = this.root.querySelector("table");
    const formats = columns.map((column, place) => formatter(column, rows.map((row) => row[place])));
    table.tHead.replaceChildren(line("th", columns.map((column) => column.name)));
    const texts = rows.map((row) => row.map((value, place) => (value === null ? gettext("empty") : formats[place](value))));
    table.tBodies[0].replaceChildren(...texts.map((row) => line("td", row)));
    const scroll = part(this.root, "sample-scroll");
    scroll.hidden = false;
    scroll.focus({ preventScroll: true });
    this.button.hidden = true;
    this.say("");
  }
}

function line(tag, texts) {
  const row = document.createElement("tr");
  for (const text of texts) {
    const cell = document.createElement(tag);
    if (tag === "th") cell.scope = "col";
    cell.textContent = text;
    row.append(cell);
  }
  return row;
}
