// What is known of a query beside its text: what it reads, what it is expected to cost, who wrote it.

// From these costs on, as PostgreSQL's planner counts them, a query is no small thing.
const COSTS = [
  [10_000, "light work for the database"],
  [500_000, "some work for the database"],
  [Infinity, "heavy work for the database"],
];

// What is expected matters as long as the query was not run.
export function showFacts(list, data, toDecide) {
  const facts = [...reads(data), ...(toDecide ? expected(data) : []), ...writtenBy(data)];
  if (data.reason) facts.push(["Rejected because", data.reason]);
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
  return [["Reads", lines]];
}

function expected({ estimated_rows: rows, estimated_cost: cost }) {
  if (rows === null) return [];
  const words = [`about ${rows.toLocaleString("en")} ${rows === 1 ? "row" : "rows"}`];
  if (cost !== null) {
    const work = COSTS.find(([limit]) => cost < limit)[1];
    words.push(`${work} (cost ${Math.round(cost).toLocaleString("en")})`);
  }
  return [["Expected", words.join(", ")]];
}

function writtenBy({ source, provider, model, fallback }) {
  if (source === "verified") return [["Written by", "staff, as a verified question"]];
  if (source === "edited") return [["Written by", "you"]];
  return model ? [["Written by", `${provider} · ${model}${fallback ? ", as a fallback" : ""}`]] : [];
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
