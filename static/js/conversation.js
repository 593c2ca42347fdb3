// The list of questions and answers in a panel.

import { setHtml } from "./html.js";

const NOTES = {
  stopped: "Stopped by you.",
  interrupted: "The server stopped before the answer was complete. Please ask again.",
};
const NEAR_THE_END = 48; // pixels

export function part(root, name) {
  return root.querySelector(`[data-part="${name}"]`);
}

export class Conversation {
  constructor(panel) {
    this.log = part(panel, "log");
    this.list = part(panel, "exchanges");
    this.empty = part(panel, "empty");
    this.blank = part(panel, "blank");
    this.announcer = part(panel, "announcer");
    this.following = true;
    this.log.addEventListener("scroll", () => {
      this.following = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < NEAR_THE_END;
    });
    new ResizeObserver(() => this.toEnd()).observe(this.log);
    this.exchanges = [...this.list.children].map((element) => new Exchange(this, element));
    this.exchanges.forEach((exchange) => exchange.dress());
    this.toEnd();
  }

  add(question) {
    const element = this.blank.content.firstElementChild.cloneNode(true);
    part(element, "question").textContent = question;
    this.list.append(element);
    this.empty.hidden = true;
    this.following = true;
    const exchange = new Exchange(this, element);
    exchange.dress();
    return exchange;
  }

  // Someone who reads further up is left there.
  toEnd() {
    if (this.following) this.log.scrollTop = this.log.scrollHeight;
  }

  announce(text) {
    this.announcer.textContent = text;
  }
}

export class Exchange {
  constructor(conversation, element) {
    this.conversation = conversation;
    this.element = element;
    this.answer = part(element, "answer");
    this.text = null;
  }

  get pollUrl() {
    return this.element.dataset.pollUrl;
  }

  wait(words) {
    if (this.element.dataset.state === "pending") this.answer.textContent = words;
  }

  append(text) {
    if (this.text === null) {
      this.element.dataset.state = "streaming";
      this.text = document.createTextNode("");
      this.answer.replaceChildren(this.text);
    }
    this.text.appendData(text);
    this.conversation.toEnd();
  }

  // Another model begins anew: what was shown is not part of its answer.
  restart() {
    this.text = null;
  }

  // `facts`: state, html, error, provider, model, fallback, first_token_ms, total_ms
  end(facts) {
    const data = this.element.dataset;
    data.state = facts.state;
    data.error = facts.error ?? "";
    data.pollUrl = "";
    data.provider = facts.provider ?? "";
    data.model = facts.model ?? "";
    data.fallback = facts.fallback ? "true" : "";
    data.firstTokenMs = facts.first_token_ms ?? "";
    data.totalMs = facts.total_ms ?? "";
    if (facts.html !== undefined) setHtml(this.answer, facts.html);
    this.text = null;
    this.dress();
    const note = part(this.element, "note").textContent;
    this.conversation.announce([this.answer.textContent.trim(), note].filter(Boolean).join(" "));
  }

  // Words for what is known about the answer, whether it came with the page or just now.
  dress() {
    const { state, error } = this.element.dataset;
    if (state === "pending") this.answer.textContent = "Processing…";
    if (state === "failed" && !this.answer.textContent.trim()) this.answer.replaceChildren();
    const note = part(this.element, "note");
    note.textContent = state === "failed" ? error || "No answer could be given. Please ask again." : NOTES[state] ?? "";
    note.classList.toggle("danger", state === "failed");
    note.hidden = note.textContent === "";
    const footnote = part(this.element, "footnote");
    footnote.textContent = this.facts().join(" · ");
    footnote.hidden = footnote.textContent === "";
    this.conversation.toEnd();
  }

  facts() {
    const { provider, model, fallback, firstTokenMs, totalMs } = this.element.dataset;
    return [
      provider,
      model,
      fallback && "fallback",
      firstTokenMs && `first token ${duration(firstTokenMs)}`,
      totalMs && `${duration(totalMs)} in all`,
    ].filter(Boolean);
  }
}

function duration(milliseconds) {
  const value = Number(milliseconds);
  return value < 1000 ? `${value} ms` : `${(value / 1000).toFixed(1)} s`;
}
