// What a query gave: a chart where its shape suggests one, the table, and the ways to take both along.

import { part } from "./conversation.js";
import { ResultTable } from "./data-agent-table.js";
import { gettext, interpolate, ngettext, number } from "./words.js";

const MOST_ROWS = 1000; // as many as the server keeps

export class Result {
  // `say(text)` tells those who do not see it, `complain(text)` everybody.
  constructor(root, { say, complain }) {
    this.root = root;
    this.complain = complain;
    this.table = new ResultTable(root, say);
    part(root, "load").addEventListener("click", () => this.load());
  }

  show(data) {
    // A step is shown again with each of its changes; its rows do not change.
    if (this.shown === data.id) return;
    this.data = data;
    const { columns, rows, row_count: count, withheld } = data;
    part(this.root, "result").hidden = columns.length === 0;
    if (columns.length === 0) return;
    const missing = rows.length < count;
    this.showChart(data);
    this.showLinks(data);
    this.text("cut", cutNotice(data));
    this.text("caption", caption(data));
    part(this.root, "withheld").hidden = !withheld;
    part(this.root, "load").hidden = withheld || !missing;
    const show = ngettext("Show the %(rows)s row", "Show the %(rows)s rows", count);
    part(this.root, "load").textContent = interpolate(show, { rows: number(count) });
    part(this.root, "scroll").hidden = missing;
    part(this.root, "pager").hidden = true;
    if (missing) return;
    this.table.show(data);
    this.shown = data.id;
  }

  text(name, text) {
    part(this.root, name).textContent = text;
    part(this.root, name).hidden = text === "";
  }

  showChart({ chart }) {
    const figure = part(this.root, "chart");
    figure.hidden = !chart;
    if (!chart || figure.dataset.url === chart.url) return;
    figure.dataset.url = chart.url;
    // On a phone the wide one's letters would be too small to read.
    const narrow = document.createElement("source");
    narrow.media = "(max-width: 40rem)";
    narrow.srcset = `${chart.url}?narrow`;
    const picture = document.createElement("img");
    picture.src = chart.url;
    picture.alt = interpolate(gettext("Chart of %(label)s. The table below has the values."), chart);
    // The table says the same: without its picture a chart is left out.
    picture.addEventListener("error", () => {
      figure.hidden = true;
      delete figure.dataset.url;
    });
    const either = document.createElement("picture");
    either.append(narrow, picture);
    figure.replaceChildren(either);
  }

  showLinks({ links, withheld }) {
    part(this.root, "permalink").href = links.page;
    part(this.root, "csv").href = links.csv;
    part(this.root, "json").href = links.json_file;
    for (const name of ["csv", "json"]) part(this.root, name).hidden = withheld;
  }

  // The rows of older results do not come with the conversation.
  async load() {
    try {
      const answer = await fetch(`${this.data.links.rows}?size=${MOST_ROWS}`);
      if (!answer.ok) throw new Error(String(answer.status));
      const { rows } = await answer.json();
      this.show({ ...this.data, rows });
    } catch {
      this.complain(gettext("The rows cannot be fetched right now. Please try again in a moment."));
    }
  }

  async pointAt(row) {
    if (this.shown !== this.data.id) await this.load();
    if (this.shown === this.data.id) this.table.pointAt(row);
  }
}

function caption({ row_count: count, duration_ms: duration, personal }) {
  const pattern = ngettext("%(rows)s row in %(duration)s ms.", "%(rows)s rows in %(duration)s ms.", count);
  const words = interpolate(pattern, { rows: number(count), duration: number(duration) });
  return personal ? [words, gettext("It holds personal data.")].join(" ") : words;
}

function cutNotice({ row_count: count, cut, limit }) {
  if (cut) {
    return gettext("The result was cut: it was longer than what is kept. Narrow the query with WHERE to see all of it.");
  }
  if (count === 0 || count !== limit) return "";
  return interpolate(gettext("The query stops at LIMIT %(limit)s; there may be more rows."), { limit });
}
