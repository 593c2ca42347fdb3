// The result of a query as a table. Cells come as PostgreSQL writes them, and are shown so.

export function resultTable({ columns, rows, row_count: count, cut, limit, duration_ms: duration }) {
  const table = document.createElement("table");
  table.createCaption().textContent = caption(count, rows.length, cut, limit, duration);
  const head = table.createTHead().insertRow();
  for (const column of columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = column.name;
    cell.title = column.type;
    cell.classList.toggle("number", column.numeric);
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((value, place) => {
      const cell = line.insertCell();
      cell.textContent = value ?? "empty";
      cell.classList.toggle("null", value === null);
      cell.classList.toggle("number", columns[place].numeric);
    });
  }
  return table;
}

function caption(count, shown, cut, limit, duration) {
  const parts = [`${count.toLocaleString("en")} ${count === 1 ? "row" : "rows"} in ${duration} ms.`];
  if (cut) parts.push("The result was cut: it was longer than what is kept.");
  else if (count > 0 && count === limit) parts.push(`The query stops at LIMIT ${limit}; there may be more.`);
  if (shown < count) parts.push("The rows of this older result are not shown; ask again to see them.");
  return parts.join(" ");
}
