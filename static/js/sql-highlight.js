// SQL as coloured text. It colours what PostgreSQL would read as keyword, text, number or comment; it decides nothing.

const KEYWORDS = new Set(
  (
    "all and any array as asc at between both by case cast collate cross cube current_date current_time " +
    "current_timestamp desc distinct else end escape except exists extract false fetch filter first following for " +
    "from full group grouping having ilike in inner intersect interval into is isnull join last lateral leading left " +
    "like limit natural next not notnull null nulls of offset on only or order ordinality outer over overlaps " +
    "partition preceding range recursive right rollup row rows select sets similar some symmetric table tablesample " +
    "then ties time timestamp to trailing true unbounded union unique using values when where window with within " +
    "without zone"
  ).split(" "),
);
const TOKEN = new RegExp(
  [
    String.raw`(?<comment>--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))`,
    // Only after E does a backslash escape.
    String.raw`(?<string>[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)|'(?:[^']|'')*(?:'|$)|\$(?<tag>\w*)\$[\s\S]*?(?:\$\k<tag>\$|$))`,
    String.raw`(?<name>"(?:[^"]|"")*(?:"|$))`,
    String.raw`(?<number>\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b)`,
    String.raw`(?<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)`,
  ].join("|"),
  "g",
);

// Returns the text as a fragment; its text content is the text, character for character.
export function highlight(sql) {
  const fragment = document.createDocumentFragment();
  let end = 0;
  for (const match of sql.matchAll(TOKEN)) {
    const kind = kindOf(match, sql);
    if (!kind) continue;
    fragment.append(sql.slice(end, match.index), coloured(match[0], kind));
    end = match.index + match[0].length;
  }
  fragment.append(sql.slice(end));
  return fragment;
}

function kindOf({ groups, index, 0: text }, sql) {
  if (groups.comment) return "comment";
  if (groups.string) return "string";
  if (groups.name) return null;
  if (groups.number) return "number";
  if (KEYWORDS.has(text.toLowerCase())) return "keyword";
  return /^\s*\(/.test(sql.slice(index + text.length, index + text.length + 8)) ? "function" : null;
}

function coloured(text, kind) {
  const span = document.createElement("span");
  span.className = `sql-${kind}`;
  span.textContent = text;
  return span;
}
