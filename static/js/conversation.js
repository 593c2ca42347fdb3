// The list of questions and answers in a panel.

import { Announcer } from "./announcer.js";
import { dressCode, makeCopyButton } from "./copying.js";
import { Growing } from "./growing.js";
import { setHtml } from "./html.js";
import { goOn } from "./stopwatch.js";
import { forget, know, measured } from "./timeline.js";
import { gettext, interpolate, number } from "./words.js";

const NEAR_THE_END = 64; // pixels

export function part(root, name) {
  return root.querySelector(`[data-part="${name}"]`);
}

export class Conversation {
  constructor(panel) {
    this.log = part(panel, "log");
    this.list = part(panel, "exchanges");
    this.empty = part(panel, "empty");
    this.blank = part(panel, "blank");
    this.announcer = new Announcer(part(panel, "announcer"));
    this.following = true;
    this.newText = part(panel, "new-text");
    this.newText.addEventListener("click", () => this.catchUp());
    this.log.addEventListener("scroll", () => {
      this.following = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < NEAR_THE_END;
      if (this.following) this.newText.hidden = true;
    });
    new ResizeObserver(() => this.toEnd()).observe(this.log);
    this.exchanges = [...this.list.children].map((element) => new Exchange(this, element));
    for (const exchange of this.exchanges) {
      exchange.dress();
      exchange.goOn(exchange.element.dataset.trace);
    }
    this.toEnd();
  }

  add(question) {
    const exchange = this.make(question);
    this.list.append(exchange.element);
    this.exchanges.push(exchange);
    this.empty.hidden = true;
    this.following = true;
    exchange.dress();
    return exchange;
  }

  // Adds earlier exchanges, oldest first. `fill(exchange, item)` is to complete each.
  prepend(items, fill) {
    const exchanges = items.map((item) => this.make(item.question));
    this.list.prepend(...exchanges.map((exchange) => exchange.element));
    this.exchanges.unshift(...exchanges);
    exchanges.forEach((exchange, place) => fill(exchange, items[place]));
  }

  // Changes something above what one reads, which stays where it is.
  changeAbove(change) {
    const below = this.log.scrollHeight - this.log.scrollTop;
    this.following = false;
    change();
    this.log.scrollTop = this.log.scrollHeight - below;
  }

  make(question) {
    const element = this.blank.content.firstElementChild.cloneNode(true);
    part(element, "question").textContent = question;
    return new Exchange(this, element);
  }

  remove(exchange) {
    exchange.element.remove();
    this.exchanges.splice(this.exchanges.indexOf(exchange), 1);
    this.empty.hidden = this.exchanges.length > 0;
  }

  // Someone who reads further up is left there.
  toEnd() {
    if (this.following) this.log.scrollTop = this.log.scrollHeight;
  }

  // There is more to read at the end.
  grow() {
    this.toEnd();
    this.newText.hidden = this.following;
  }

  catchUp() {
    this.following = true;
    // A focused button that disappears would lose the keyboard's place.
    this.log.focus({ preventScroll: true });
    this.grow();
  }

  announce(text) {
    this.announcer.say(text);
  }
}

export class Exchange {
  constructor(conversation, element) {
    this.conversation = conversation;
    this.element = element;
    this.answer = part(element, "answer");
    this.growing = null;
    this.stopwatch = null; // while it is measured here
    makeCopyButton(part(element, "copy"), () => this.answer.innerText.trim(), (words) => conversation.announce(words));
  }

  get pollUrl() {
    return this.element.dataset.pollUrl;
  }

  get hasEnded() {
    return !["pending", "streaming"].includes(this.element.dataset.state);
  }

  wait(words) {
    if (this.element.dataset.state === "pending") this.answer.textContent = words;
  }

  // Another version of the answer, perhaps to another question.
  begin(question) {
    part(this.element, "question").textContent = question;
    this.element.dataset.state = "pending";
    this.element.dataset.error = "";
    this.growing = null;
    this.stopwatch = null;
    forget(part(this.element, "timeline"));
    this.fill({});
    this.conversation.following = true;
    this.dress();
  }

  append(text) {
    if (this.growing === null) {
      this.element.dataset.state = "streaming";
      this.growing = new Growing(this.answer);
      this.conversation.announcer.follow(this.answer);
    }
    this.growing.append(text);
    this.stopwatch?.first();
    this.conversation.announcer.grew();
    this.conversation.grow();
  }

  // Another model begins anew: what was shown is not part of its answer.
  restart() {
    this.growing = null;
  }

  // `facts`: state, html, error, provider, model, fallback, first_token_ms, total_ms
  end(facts) {
    this.show(facts);
    if (this.stopwatch) this.measure();
    this.conversation.grow();
    this.conversation.announcer.end(this.answer, part(this.element, "note").textContent);
    this.element.dispatchEvent(new CustomEvent("ended", { bubbles: true }));
  }

  measure() {
    this.stopwatch.end(this.answer.textContent.trim() !== "");
    measured(part(this.element, "timeline"), this.stopwatch, () => this.conversation.toEnd());
  }

  // Measures on where this page was loaded again before the answer's end was shown and told.
  goOn(trace) {
    this.stopwatch = goOn(trace);
    if (this.stopwatch === null) this.know(trace);
    else if (this.hasEnded) this.measure();
  }

  // Shows how the answer came, where that was measured before.
  know(trace) {
    know(part(this.element, "timeline"), trace);
  }

  show(facts) {
    const data = this.element.dataset;
    data.state = facts.state;
    data.error = facts.error ?? "";
    data.pollUrl = "";
    this.fill(facts);
    if (facts.html !== undefined) setHtml(this.answer, facts.html);
    this.growing = null;
    this.dress();
  }

  fill(facts) {
    const data = this.element.dataset;
    data.provider = facts.provider ?? "";
    data.model = facts.model ?? "";
    data.fallback = facts.fallback ? "true" : "";
    data.firstTokenMs = facts.first_token_ms ?? "";
    data.totalMs = facts.total_ms ?? "";
  }

  // Words for what is known about the answer, whether it came with the page or just now.
  dress() {
    const { state, error } = this.element.dataset;
    if (state === "pending") this.answer.textContent = gettext("Processing…");
    if (state === "failed" && !this.answer.textContent.trim()) this.answer.replaceChildren();
    const note = part(this.element, "note");
    note.textContent = (state === "failed" && error) || (note.dataset[state] ?? "");
    note.classList.toggle("danger", state === "failed");
    note.hidden = note.textContent === "";
    const footnote = part(this.element, "footnote");
    footnote.textContent = this.facts().join(" · ");
    footnote.hidden = footnote.textContent === "";
    part(this.element, "tools").hidden = !this.hasEnded;
    part(this.element, "copy").hidden = this.answer.textContent.trim() === "";
    if (this.hasEnded) dressCode(this.answer, (words) => this.conversation.announce(words));
    this.conversation.toEnd();
  }

  facts() {
    const { provider, model, fallback, firstTokenMs, totalMs } = this.element.dataset;
    return [
      provider,
      model,
      fallback && gettext("fallback"),
      firstTokenMs && interpolate(gettext("first token %(duration)s"), { duration: duration(firstTokenMs) }),
      totalMs && interpolate(gettext("%(duration)s in all"), { duration: duration(totalMs) }),
    ].filter(Boolean);
  }
}

function duration(milliseconds) {
  const value = Number(milliseconds);
  return value < 1000 ? `${value} ms` : `${number(value / 1000, 1)} s`;
}
