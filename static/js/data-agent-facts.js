// What is known of a query beside its text: what it reads, what it is expected to cost, who wrote it.

import { gettext, interpolate, ngettext, number } from "./words.js";

// From these costs on, as PostgreSQL's planner counts them, a query is no small thing.
const COSTS = [
  [10_000, gettext("light work for the database")],
  [500_000, gettext("some work for the database")],
  [Infinity, gettext("heavy work for the database")],
];

// What is expected matters as long as the query was not run.
export function showFacts(list, data, toDecide) {
  const facts = [...reads(data), ...(toDecide ? expected(data) : []), ...writtenBy(data)];
  if (data.reason) facts.push([gettext("Rejected because"), data.reason]);
  list.replaceChildren(...facts.map(([name, value]) => fact(name, value)));
  list.hidden = facts.length === 0;
}

function reads({ tables, columns_read: columns }) {
  if (!tables.length) return [];
  const lines = tables.map((table) => {
    const line = create("span", "", "reads");
    const names = columns.filter((name) => name.startsWith(`${table}.`)).map((name) => name.slice(table.length + 1));
    line.append(create("code", table, "table"));
    if (names.length) line.append(" ", create("span", names.join(", ")));
    return line;
  });
  return [[gettext("Reads"), lines]];
}

function expected({ estimated_rows: rows, estimated_cost: cost }) {
  if (rows === null) return [];
  const words = [interpolate(ngettext("about %(rows)s row", "about %(rows)s rows", rows), { rows: number(rows) })];
  if (cost !== null) {
    const work = COSTS.find(([limit]) => cost < limit)[1];
    words.push(interpolate(gettext("%(work)s (cost %(cost)s)"), { work, cost: number(cost) }));
  }
  return [[gettext("Expected"), words.join(", ")]];
}

function writtenBy({ source, provider, model, fallback }) {
  if (source === "verified") return [[gettext("Written by"), gettext("staff, as a verified question")]];
  if (source === "edited") return [[gettext("Written by"), gettext("you")]];
  if (!model) return [];
  const writer = `${provider} · ${model}`;
  return [[gettext("Written by"), fallback ? interpolate(gettext("%(writer)s, as a fallback"), { writer }) : writer]];
}

function fact(name, value) {
  const pair = document.createElement("div");
  const words = document.createElement("dd");
  words.append(...(Array.isArray(value) ? value : [value]));
  pair.append(create("dt", name), words);
  return pair;
}

function create(tag, text, name = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (name) element.className = name;
  return element;
}
