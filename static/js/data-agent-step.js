// A step: the question, the proposed query with its verdict, the buttons that decide, and what came out.

import { part } from "./conversation.js";
import { Answer } from "./data-agent-answer.js";
import { Clarification } from "./data-agent-clarification.js";
import { Editor } from "./data-agent-editor.js";
import { Expiry } from "./data-agent-expiry.js";
import { showFacts } from "./data-agent-facts.js";
import { Result } from "./data-agent-result.js";
import { SHOWN_AS } from "./data-agent-states.js";
import { Verdict } from "./data-agent-verdict.js";
import { highlight } from "./sql-highlight.js";
import { gettext, interpolate } from "./words.js";

const TUCKED_AWAY = new Set(["answered", "executed", "continued", "rejected", "skipped"]);
const LABELS = [["sql-label", "sql"], ["reason-label", "reason"], ["reply-label", "reply"]];

export class Step {
  // `decide(frame)` sends a decision, `check(frame)` has a text looked at; both return whether there is a connection.
  // `say(text)` tells those who do not see it, `trace(step, row)` shows a row of a result, `again(question)` lets the
  // person ask once more.
  constructor(blank, { decide, check, say, trace, again }) {
    this.element = blank.content.firstElementChild.cloneNode(true);
    this.decide = decide;
    this.again = again;
    this.say = say;
    this.card = part(this.element, "card");
    this.answer = new Answer(this.element, trace);
    this.clarification = new Clarification(this.element, (decision) => this.send(decision));
    this.editor = new Editor(this.element, () => this.edited());
    this.verdict = new Verdict(this.element, (sql, number) => check({ step: this.data.id, sql, number }));
    this.result = new Result(this.element, { say, complain: (sentence) => this.complain(sentence) });
    this.expiry = new Expiry(part(this.element, "expiry"), {
      soon: () => say(gettext("Less than a minute is left to approve the query.")),
      expired: () => this.expired(),
    });
    this.listen();
  }

  listen() {
    this.on("approve", "click", () => this.approve());
    this.on("check", "click", () => this.check());
    this.on("undo", "click", () => this.undo());
    this.on("skip", "click", () => this.send({ type: "skip" }));
    this.on("reject", "click", () => this.setRejecting(part(this.element, "rejecting").hidden));
    this.on("again", "click", () => this.again(this.data.question));
    this.on("keep", "click", () => this.setRejecting(false));
    this.on("verify", "click", () => this.decide({ type: this.data.verified ? "unverify" : "verify", step: this.data.id }));
    this.on("rejecting", "submit", (event) => {
      event.preventDefault();
      this.send({ type: "reject", reason: part(this.element, "reason").value.trim() });
    });
  }

  on(name, event, listener) {
    part(this.element, name).addEventListener(event, listener);
  }

  // Ids come from the step, so that its address can be kept and labels belong to one step only.
  label({ id, number }) {
    this.element.id = `step-${id}`;
    for (const [label, field] of LABELS) {
      part(this.element, field).id = `step-${id}-${field}`;
      part(this.element, label).htmlFor = `step-${id}-${field}`;
    }
    part(this.element, "heading").id = `step-${id}-heading`;
    this.card.setAttribute("aria-labelledby", `step-${id}-heading`);
    const names = {
      scroll: gettext("Table of step %(number)s"),
      chart: gettext("Chart of step %(number)s"),
      query: gettext("Query of step %(number)s"),
    };
    for (const [place, name] of Object.entries(names)) {
      part(this.element, place).setAttribute("aria-label", interpolate(name, { number }));
    }
  }

  // Whether it is for this person to say what becomes of it.
  get isWaiting() {
    return Boolean(this.data) && !this.working && !this.rights.readOnly && (this.isUndecided || this.data.state === "asking");
  }

  get isUndecided() {
    return !SHOWN_AS[this.data.state].decided;
  }

  get isEdited() {
    return this.editor.text !== this.data.sql;
  }

  // Another step of the same question has come.
  follow() {
    this.isFollowed = true;
    part(this.element, "after-failure").hidden = true;
  }

  focus() {
    const wanted = this.isWaiting && this.data.state === "asking" ? part(this.element, "reply") : this.card;
    wanted.focus({ preventScroll: true });
  }

  // Brings it into sight: from its top where it is higher than the window.
  reveal() {
    const block = this.card.offsetHeight > window.innerHeight ? "start" : "nearest";
    this.card.scrollIntoView({ block });
  }

  // `rights`: `readOnly` in a colleague's conversation, `mayVerify` for staff.
  show(data, rights) {
    const keepsEdit = this.data?.sql === data.sql && this.isEdited;
    const isChanged = this.data?.state !== data.state;
    if (!this.data) this.label(data);
    this.data = data;
    this.rights = rights;
    const { busy } = SHOWN_AS[data.state];
    this.element.dataset.state = data.state;
    this.showHead();
    this.text("error", data.error);
    this.answer.show(data);
    this.clarification.show(data, rights.readOnly);
    this.showQuery(keepsEdit);
    this.result.show(data);
    this.showVerified();
    part(this.element, "after-failure").hidden = data.state !== "failed" || rights.readOnly || this.isFollowed;
    if (isChanged) this.setRejecting(false);
    this.setWorking(Boolean(busy));
    this.expiry.watch(data.state === "proposed" && !rights.readOnly ? data.expires_in : null);
  }

  showHead() {
    const { state, question, note, source, columns, part: place, parts } = this.data;
    const { heading, badge, tone } = SHOWN_AS[state];
    this.text("question", place > 1 ? "" : question);
    this.text("heading", heading);
    const isOneOfMany = place > 1 || state === "continued";
    this.text("place", isOneOfMany ? interpolate(gettext("Step %(place)s of at most %(parts)s"), { place, parts }) : "");
    this.text("badge", badge);
    part(this.element, "badge").dataset.tone = tone;
    // Whose question is answered matters also when the answer is there.
    this.text("note", this.isUndecided || (source === "verified" && columns.length) ? note : "");
  }

  // An element without text is not shown.
  text(name, text) {
    const element = part(this.element, name);
    element.textContent = text;
    element.hidden = text === "";
  }

  showQuery(keepsEdit) {
    const { explanation, sql, state } = this.data;
    const editable = this.isUndecided && !this.rights.readOnly;
    part(this.element, "about-query").hidden = sql === "" && !editable;
    this.text("explanation", explanation);
    part(this.element, "editing").hidden = !editable;
    part(this.element, "query").hidden = editable || sql === "";
    part(this.element, "code").replaceChildren(highlight(sql));
    part(this.element, "actions").hidden = !editable;
    this.tuckAway(TUCKED_AWAY.has(state) && sql !== "");
    if (!keepsEdit) this.editor.text = sql;
    if (editable) this.edited();
    else this.verdict.hide();
    showFacts(part(this.element, "facts"), this.data, this.isUndecided);
  }

  // Once something else matters more, what is known of the query is a line that opens.
  tuckAway(away) {
    const about = part(this.element, "about-query");
    const more = part(this.element, "more");
    more.hidden = !away;
    if (away) part(more, "more-place").append(about);
    else more.before(about);
  }

  showVerified() {
    const { state, verified } = this.data;
    part(this.element, "verified").hidden = !verified;
    const button = part(this.element, "verify");
    button.hidden = !this.rights.mayVerify || !["answered", "continued"].includes(state);
    button.setAttribute("aria-pressed", String(verified));
    button.textContent = verified ? gettext("No longer verified") : gettext("Mark as verified");
  }

  edited() {
    const edited = this.isEdited;
    const toCheck = this.data.state !== "proposed" || edited;
    part(this.element, "approve").hidden = toCheck;
    part(this.element, "check").hidden = !toCheck || this.editor.text.trim() === "";
    part(this.element, "check").textContent = edited ? gettext("Use my version") : gettext("Check again");
    part(this.element, "enter-does").textContent = enterDoes(toCheck, edited);
    part(this.element, "undo").hidden = !edited;
    if (edited) this.verdict.edited(this.editor.text);
    else this.verdict.show(this.data);
  }

  // The verdict on a text that is being written.
  checked(verdict) {
    if (!this.isWaiting || !this.verdict.arrived(verdict)) return;
    const { tables, columns_read, estimated_rows, estimated_cost } = verdict;
    const facts = { ...this.data, tables, columns_read, estimated_rows, estimated_cost, source: "edited" };
    showFacts(part(this.element, "facts"), facts, true);
  }

  undo() {
    this.editor.text = this.data.sql;
    this.edited();
    showFacts(part(this.element, "facts"), this.data, true);
    this.editor.focus();
  }

  // What is approved is the text that is shown: the server runs it only if this is its SHA-256.
  approve() {
    this.send({ type: "approve", sha256: this.data.sha256 });
  }

  check() {
    if (this.editor.text.trim() !== "") this.send({ type: "edit", sql: this.editor.text });
  }

  send(decision) {
    if (!this.isWaiting) return;
    this.complain("");
    const alone = gettext("There is no connection right now. It comes back by itself; please try again in a moment.");
    if (this.decide({ ...decision, step: this.data.id })) this.setWorking(true);
    else this.complain(alone);
  }

  complain(sentence) {
    this.text("trouble", sentence);
  }

  setRejecting(rejecting) {
    const form = part(this.element, "rejecting");
    if (form.hidden === !rejecting) return;
    form.hidden = !rejecting;
    part(this.element, "reject").setAttribute("aria-expanded", String(rejecting));
    if (rejecting) part(this.element, "reason").focus();
    else if (this.isWaiting) part(this.element, "reject").focus();
  }

  setWorking(working) {
    const controls = this.element.querySelectorAll('[data-part="actions"] button, .row-form :is(input, button)');
    // A control that is disabled loses the focus; the card keeps it.
    if (working && [...controls, this.editor.field].includes(document.activeElement)) this.card.focus({ preventScroll: true });
    this.working = working;
    this.element.setAttribute("aria-busy", String(working));
    for (const control of controls) control.disabled = working;
    this.editor.field.readOnly = working;
  }

  key(event) {
    if (!this.isWaiting || !this.isUndecided || event.isComposing || event.repeat) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (part(this.element, "approve").hidden) this.check();
      else this.approve();
    } else if (event.key === "Escape") {
      event.preventDefault();
      this.setRejecting(part(this.element, "rejecting").hidden);
    }
  }

  expired() {
    this.show({ ...this.data, state: "expired" }, this.rights);
    this.say(SHOWN_AS.expired.said);
  }
}

function enterDoes(toCheck, edited) {
  if (!toCheck) return gettext("approves");
  return edited ? gettext("uses it") : gettext("checks it");
}
