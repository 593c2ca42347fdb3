// The result of a query as a table that can be sorted and turned over page by page.

import { comparison, formatter } from "./data-agent-cells.js";
import { part } from "./conversation.js";
import { gettext, interpolate, number } from "./words.js";

const PAGE = 15; // rows
const NO_PAGES = 20; // rows up to which all are shown: a page with a few would be a nuisance
const LONG = 160; // characters of a cell that are shown at once
const SHORT = 32; // characters of a column's longest cell, up to which its lines are not broken

export class ResultTable {
  // `root` holds the parts; `say(text)` tells those who do not see it.
  constructor(root, say) {
    this.root = root;
    this.say = say;
    this.table = root.querySelector("table");
    part(root, "previous").addEventListener("click", () => this.turn(-1));
    part(root, "next").addEventListener("click", () => this.turn(1));
  }

  show({ columns, rows }) {
    this.columns = columns;
    this.given = rows;
    this.rows = rows;
    this.size = rows.length <= NO_PAGES ? NO_PAGES : PAGE;
    this.page = 0;
    this.sorted = null;
    this.pointed = null;
    this.formats = columns.map((column, place) => formatter(column, rows.map((row) => row[place])));
    this.widths = this.formats.map((format, place) => width(rows.map((row) => row[place]), format));
    this.head();
    this.body();
  }

  head() {
    const line = document.createElement("tr");
    this.columns.forEach((column, place) => {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.classList.toggle("number", column.numeric);
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.textContent = column.name;
      button.title = interpolate(gettext("%(type)s: sort by this column"), column);
      button.disabled = this.given.length < 2;
      button.addEventListener("click", () => this.sort(place));
      cell.append(button);
      line.append(cell);
    });
    this.table.tHead.replaceChildren(line);
  }

  // The first click puts the interesting end on top: large numbers, or the beginning of the alphabet.
  sort(place) {
    const column = this.columns[place];
    const first = column.numeric;
    if (this.sorted?.place !== place) this.sorted = { place, falling: first };
    else if (this.sorted.falling === first) this.sorted = { place, falling: !first };
    else this.sorted = null;
    this.order();
    const how = this.showOrder();
    this.say(sortedBy(column.name, how));
  }

  showOrder() {
    const how = this.sorted ? (this.sorted.falling ? "descending" : "ascending") : null;
    for (const [other, cell] of [...this.table.tHead.rows[0].cells].entries()) {
      if (other === this.sorted?.place) cell.setAttribute("aria-sort", how);
      else cell.removeAttribute("aria-sort");
    }
    return how;
  }

  // Shows a row, counted from 0 in the order of the query.
  pointAt(row) {
    this.sorted = null;
    this.pointed = this.given[row];
    this.order();
    this.showOrder();
    this.page = Math.floor(row / this.size);
    this.body();
    const line = this.table.tBodies[0].rows[row % this.size];
    line?.scrollIntoView({ block: "center" });
    line?.focus({ preventScroll: true });
  }

  order() {
    this.rows = this.given;
    if (this.sorted) {
      const { place, falling } = this.sorted;
      const compare = comparison(this.columns[place], falling);
      this.rows = this.given.toSorted((a, b) => compare(a[place], b[place]));
    }
    this.page = 0;
    this.body();
  }

  turn(pages) {
    this.page = Math.min(Math.max(0, this.page + pages), Math.ceil(this.rows.length / this.size) - 1);
    this.body();
    this.say(part(this.root, "rows").textContent);
  }

  body() {
    const first = this.page * this.size;
    const shown = this.rows.slice(first, first + this.size);
    this.table.tBodies[0].replaceChildren(...shown.map((row) => this.line(row)));
    if (this.rows.length === 0) this.emptyLine();
    part(this.root, "pager").hidden = this.rows.length <= this.size;
    part(this.root, "rows").textContent = interpolate(gettext("Rows %(first)s to %(last)s of %(count)s"), {
      first: number(first + 1),
      last: number(first + shown.length),
      count: number(this.rows.length),
    });
    setUsable(part(this.root, "previous"), this.page > 0);
    setUsable(part(this.root, "next"), first + this.size < this.rows.length);
  }

  // A table of heads alone looks broken.
  emptyLine() {
    const cell = this.table.tBodies[0].insertRow().insertCell();
    cell.colSpan = this.columns.length;
    cell.className = "null";
    cell.textContent = gettext("No rows");
  }

  line(row) {
    const line = document.createElement("tr");
    if (row === this.pointed) {
      line.className = "pointed";
      line.tabIndex = -1;
    }
    row.forEach((value, place) => {
      const cell = line.insertCell();
      cell.className = this.widths[place];
      cell.classList.toggle("null", value === null);
      cell.classList.toggle("number", this.columns[place].numeric);
      if (value === null) cell.textContent = gettext("empty");
      else this.fill(cell, value, this.formats[place](value));
    });
    return line;
  }

  fill(cell, value, shown) {
    if (shown !== value) cell.title = value;
    if (shown.length <= LONG) {
      cell.textContent = shown;
      return;
    }
    const more = document.createElement("details");
    const summary = document.createElement("summary");
    const beginning = `${shown.slice(0, LONG)}…`;
    summary.textContent = beginning;
    more.append(summary, shown);
    more.addEventListener("toggle", () => (summary.textContent = more.open ? gettext("Show less") : beginning));
    cell.append(more);
  }
}

function sortedBy(name, how) {
  if (how === "descending") return interpolate(gettext("Sorted by %(name)s, descending."), { name });
  if (how === "ascending") return interpolate(gettext("Sorted by %(name)s, ascending."), { name });
  return gettext("In the order of the query.");
}

function width(values, format) {
  const longest = Math.max(0, ...values.map((value) => (value === null ? 0 : format(value).length)));
  return longest <= SHORT ? "short" : "long";
}

// A button that is disabled loses the focus; this one only does nothing.
function setUsable(button, usable) {
  button.setAttribute("aria-disabled", String(!usable));
  button.disabled = !usable && button !== document.activeElement;
}
