// Draws an answer while it grows, about as the server's HTML will look that replaces it at the end.
//
// It only ever makes elements and texts: nothing in an answer becomes a link, an attribute or HTML here. What it takes
// for something else than the server does is put right at the end; finished blocks are not touched again.

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6}) +(.*)$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])( +)(.*)$/;
// What may yet become a mark: it is not shown before it is known what it is.
const BEGINNING = /^\s*(?:#{1,6}|[-*+>|`~]+|\d+[.)])[ \t]*$/;
const INLINE = /(`+)([^`].*?)(?:\1|$)|(\*\*|__)(?=\S)(.+?)(?:\3|$)|\*(?=\S)([^*]+?)(?:\*|$)|\[([^\]]+)\]\([^)]*\)/gs;

export class Growing {
  constructor(root) {
    this.root = root;
    this.root.replaceChildren();
    this.open = ""; // the source of the block that is being written
    this.drawn = null; // its element
  }

  append(text) {
    this.open += text;
    for (let end = blockEnd(this.open); end; end = blockEnd(this.open)) {
      this.draw(this.open.slice(0, end));
      this.drawn = null;
      this.open = this.open.slice(end).replace(/^(?:[ \t]*\n)+/, "");
    }
    this.draw(this.open);
  }

  draw(source) {
    if (source.trim() === "" || BEGINNING.test(source)) return;
    const element = block(source);
    if (this.drawn) this.drawn.replaceWith(element);
    else this.root.append(element);
    this.drawn = element;
  }
}

// Returns where the first block ends, 0 where it may go on.
function blockEnd(source) {
  const line = source.indexOf("\n");
  if (line < 0) return 0;
  const fence = FENCE.exec(source);
  if (fence) {
    const mark = fence[1];
    const close = new RegExp(`\\n {0,3}${mark[0]}{${mark.length},}[ \\t]*(\\n)`).exec(source);
    return close ? close.index + close[0].length : 0;
  }
  if (HEADING.test(source.slice(0, line))) return line + 1;
  const next = /\n[ \t]*\n|\n(?= {0,3}(?:`{3}|~{3}|#{1,6} ))/.exec(source);
  return next ? next.index + next[0].length : 0;
}

function block(source) {
  const lines = source.replace(/\s+$/, "").split("\n");
  if (FENCE.test(source)) return code(lines);
  const heading = HEADING.exec(lines[0]);
  if (heading) return make(`h${Math.min(6, heading[1].length + 2)}`, inline(heading[2]));
  if (ITEM.test(lines[0])) return list(lines);
  if (lines[0].startsWith(">")) return make("blockquote", [block(lines.map((each) => each.replace(/^> ?/, "")).join("\n"))]);
  if (lines[0].startsWith("|") && /^[ :|-]*$/.test(lines[1] ?? "")) return table(lines);
  return make("p", inline(lines.join("\n")));
}

function code(lines) {
  const mark = FENCE.exec(lines[0])[1];
  const last = lines.length > 1 && lines.at(-1).trim().startsWith(mark) ? -1 : undefined;
  return make("pre", [make("code", [lines.slice(1, last).map((line) => `${line}\n`).join("")])]);
}

function list(lines) {
  const [, , mark] = ITEM.exec(lines[0]);
  const root = document.createElement(/\d/.test(mark) ? "ol" : "ul");
  if (root.localName === "ol") root.start = parseInt(mark, 10);
  const items = [];
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item && (items.length === 0 || item[1].length < 2)) items.push([item[4]]);
    else items.at(-1).push(line.replace(/^ {1,4}/, ""));
  }
  for (const [first, ...rest] of items) {
    const nested = rest.findIndex((line) => ITEM.test(line));
    const own = nested < 0 ? rest : rest.slice(0, nested);
    const item = make("li", inline([first, ...own].join("\n")));
    if (nested >= 0) item.append(list(rest.slice(nested)));
    root.append(item);
  }
  return root;
}

function table([head, , ...body]) {
  const cells = (line) => line.replace(/^\||\|\s*$/g, "").split("|");
  const row = (line, kind) => make("tr", cells(line).map((cell) => make(kind, inline(cell.trim()))));
  return make("table", [make("thead", [row(head, "th")]), make("tbody", body.map((line) => row(line, "td")))]);
}

function inline(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(INLINE)) {
    parts.push(text.slice(at, found.index));
    at = found.index + found[0].length;
    if (found[1]) parts.push(make("code", [found[2].trim()]));
    else if (found[3]) parts.push(make("strong", inline(found[4])));
    else if (found[5]) parts.push(make("em", inline(found[5])));
    else parts.push(make("a", [found[6]]));
  }
  return [...parts, text.slice(at)];
}

function make(name, children) {
  const element = document.createElement(name);
  element.append(...children);
  return element;
}
