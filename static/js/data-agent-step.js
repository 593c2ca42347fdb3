// A step: the question, the proposed query with its verdict, the buttons that decide, and what came out.

import { part } from "./conversation.js";
import { resultTable } from "./data-agent-table.js";

const HEADINGS = {
  proposed: "Proposed query",
  blocked: "Refused query",
  expired: "Proposed query",
  approved: "Approved query",
  executed: "Approved query",
  answered: "Answer",
  failed: "Failed query",
  rejected: "Rejected query",
  skipped: "Skipped question",
};
const BADGES = {
  proposed: ["Your decision", "accent"],
  blocked: ["Refused by the guard", "danger"],
  expired: ["Too old: check it again", "warn"],
  approved: ["Running", "accent"],
  executed: ["Run", "accent"],
  answered: ["Answered", "ok"],
  failed: ["Failed", "danger"],
  rejected: ["Rejected", "muted"],
  skipped: ["Skipped", "muted"],
};
const UNDECIDED = new Set(["proposed", "blocked", "expired"]);
let count = 0;

export class Step {
  // `decide(frame)` sends a decision.
  constructor(blank, decide) {
    this.element = blank.content.firstElementChild.cloneNode(true);
    this.decide = decide;
    this.sql = part(this.element, "sql");
    this.label();
    this.on("approve", "click", () => this.approve());
    this.on("check", "click", () => this.check());
    this.on("undo", "click", () => this.undo());
    this.on("skip", "click", () => this.decide({ type: "skip", step: this.data.id }));
    this.on("reject", "click", () => this.setRejecting(true));
    this.on("keep", "click", () => this.setRejecting(false));
    this.on("sql", "input", () => this.edited());
    this.on("rejecting", "submit", (event) => {
      event.preventDefault();
      this.reject();
    });
    this.on("card", "keydown", (event) => this.key(event));
  }

  on(name, event, listener) {
    part(this.element, name).addEventListener(event, listener);
  }

  // Labels need ids, which must differ from step to step.
  label() {
    count += 1;
    for (const [label, field] of [["sql-label", "sql"], ["reason-label", "reason"]]) {
      const id = `step-${count}-${field}`;
      part(this.element, field).id = id;
      part(this.element, label).htmlFor = id;
    }
    const heading = part(this.element, "heading");
    heading.id = `step-${count}-heading`;
    part(this.element, "card").setAttribute("aria-labelledby", heading.id);
  }

  focus() {
    part(this.element, "card").focus({ preventScroll: true });
  }

  show(data) {
    const editing = this.data && this.data.sql === data.sql && this.isEdited();
    this.data = data;
    this.element.dataset.state = data.state;
    const [badge, tone] = BADGES[data.state];
    this.text("question", data.question);
    this.text("heading", HEADINGS[data.state]);
    this.text("badge", badge);
    part(this.element, "badge").dataset.tone = tone;
    this.text("note", data.note);
    this.text("explanation", data.explanation);
    this.text("error", data.error);
    this.showQuery(editing);
    this.showReasons();
    this.showFacts();
    this.showResult();
    this.setRejecting(false);
    this.setWorking(data.state === "approved" || data.state === "executed");
    this.watchExpiry();
  }

  // An element without text is not shown.
  text(name, text) {
    const element = part(this.element, name);
    element.textContent = text;
    element.hidden = text === "";
  }

  showQuery(editing) {
    const undecided = UNDECIDED.has(this.data.state);
    part(this.element, "editing").hidden = !undecided;
    part(this.element, "query").hidden = undecided || this.data.sql === "";
    part(this.element, "code").textContent = this.data.sql;
    if (!editing) this.sql.value = this.data.sql;
    this.edited();
  }

  showReasons() {
    const reasons = this.data.state === "blocked" ? this.data.reasons : [];
    part(this.element, "reasons-box").hidden = reasons.length === 0;
    part(this.element, "reasons").replaceChildren(...reasons.map((reason) => create("li", reason)));
  }

  showFacts() {
    const { tables, columns_read: columns, warnings, estimated_rows: rows, source, provider, model, fallback } = this.data;
    const facts = [];
    if (tables.length && UNDECIDED.has(this.data.state)) {
      const read = tables.map((table) => {
        const names = columns.filter((name) => name.startsWith(`${table}.`)).map((name) => name.slice(table.length + 1));
        return names.length ? `${table} (${names.join(", ")})` : table;
      });
      facts.push(["Reads", read.join("; ")]);
    }
    if (this.data.state === "proposed") {
      facts.push(["Guard", ["Allowed.", ...warnings].join(" ")]);
      if (rows !== null) facts.push(["Expected", `about ${rows.toLocaleString("en")} ${rows === 1 ? "row" : "rows"}`]);
    }
    if (source === "verified") facts.push(["Written by", "staff, as a verified question"]);
    else if (source === "edited") facts.push(["Written by", "you"]);
    else if (model) facts.push(["Written by", `${provider} · ${model}${fallback ? ", as a fallback" : ""}`]);
    if (this.data.reason) facts.push(["Rejected because", this.data.reason]);
    const list = part(this.element, "facts");
    list.replaceChildren(...facts.map(([name, value]) => {
      const pair = document.createElement("div");
      pair.append(create("dt", name), create("dd", value));
      return pair;
    }));
    list.hidden = facts.length === 0;
  }

  showResult() {
    const { state, answer, answer_source: source, columns } = this.data;
    this.text("answer", answer);
    part(this.element, "answer-box").hidden = answer === "";
    const by = source === "model" ? "Worded by the model; the table below is the source." : "Made from the table below, without the model.";
    part(this.element, "footnote").textContent = by;
    const result = part(this.element, "result");
    result.hidden = columns.length === 0;
    if (columns.length) result.replaceChildren(resultTable(this.data));
    part(this.element, "query").open = state === "failed";
  }

  isEdited() {
    return this.sql.value !== this.data.sql;
  }

  edited() {
    const undecided = UNDECIDED.has(this.data.state);
    const toCheck = this.data.state !== "proposed" || this.isEdited();
    part(this.element, "actions").hidden = !undecided;
    part(this.element, "approve").hidden = toCheck;
    part(this.element, "check").hidden = !toCheck;
    part(this.element, "undo").hidden = !this.isEdited();
    part(this.element, "keys").hidden = toCheck;
    this.sql.rows = Math.min(24, Math.max(3, this.sql.value.split("\n").length));
  }

  undo() {
    this.sql.value = this.data.sql;
    this.edited();
    this.sql.focus();
  }

  // What is approved is the text that is shown: the server runs it only if this is its SHA-256.
  approve() {
    this.decide({ type: "approve", step: this.data.id, sha256: this.data.sha256 });
  }

  check() {
    this.decide({ type: "edit", step: this.data.id, sql: this.sql.value });
  }

  reject() {
    const reason = part(this.element, "reason").value.trim();
    this.decide({ type: "reject", step: this.data.id, reason });
  }

  setRejecting(rejecting) {
    const form = part(this.element, "rejecting");
    if (form.hidden === !rejecting) return;
    form.hidden = !rejecting;
    if (rejecting) part(this.element, "reason").focus();
    else if (UNDECIDED.has(this.data.state)) part(this.element, "reject").focus();
  }

  setWorking(working) {
    this.working = working;
    this.element.setAttribute("aria-busy", String(working));
    for (const control of this.element.querySelectorAll("button, textarea, input")) control.disabled = working;
  }

  key(event) {
    if (this.working || !UNDECIDED.has(this.data.state) || event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (part(this.element, "approve").hidden) this.check();
      else this.approve();
    } else if (event.key === "Escape") {
      event.preventDefault();
      this.setRejecting(part(this.element, "rejecting").hidden);
    }
  }

  watchExpiry() {
    clearTimeout(this.expiry);
    if (this.data.state !== "proposed" || this.data.expires_in === null) return;
    const wait = Math.max(0, this.data.expires_in) * 1000;
    this.expiry = setTimeout(() => this.show({ ...this.data, state: "expired" }), wait);
  }
}

function create(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
