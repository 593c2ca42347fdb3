// The right panel: one open connection, over which the visitor's answers stream, whichever of their pages asked.
//
// An answer belongs to no connection. After a loss, a reload or a restart of the server the page names the run and how
// much of it it has, and is sent exactly the rest.

import { Composer, Refusal } from "./composer.js";
import { Conversation, part } from "./conversation.js";
import { Fallback } from "./fallback.js";
import { Socket } from "./socket.js";
import { goOn, Stopwatch } from "./stopwatch.js";
import { Tools } from "./tools.js";
import { gettext, interpolate } from "./words.js";
import { Earlier } from "./ws-earlier.js";

const OUTCOMES = { done: "answered", stopped: "stopped", error: "failed", interrupted: "interrupted" };
const PAUSED = gettext("Paused, because nobody was here for a while. It goes on when you write");
const UNCONNECTED = gettext("There is no connection right now. Your text is kept; send it when the connection is back.");
const ATTEMPTS = 3; // failed connections after which running answers come another way
const AGAIN = 3_000; // milliseconds until the server is asked once more for what it could not look up

export class WsChat {
  constructor(panel) {
    this.connection = part(panel, "connection");
    this.stopButton = part(panel, "stop");
    this.conversation = new Conversation(panel);
    this.composer = new Composer(panel, (text) => this.ask(text, this.edited));
    this.edited = undefined; // the turn whose question is being edited
    this.asked = null; // {text, turn, resolve, reject}: sent, and neither accepted nor refused yet
    this.unconfirmed = null; // a text that was sent over a connection that was lost before the reply
    this.running = new Map(); // by run: {seen, exchange}, where seen is the number of the last delta
    this.ended = new Set(this.conversation.exchanges.map((exchange) => exchange.element.dataset.run));
    this.tools = new Map(); // by exchange
    for (const exchange of this.conversation.exchanges) this.equip(exchange);
    this.earlier = new Earlier(panel, this.conversation, (exchange, item) => this.fill(exchange, item));
    const drop = part(panel, "drop");
    drop.addEventListener("click", () => this.socket.drop());
    drop.hidden = false;
    this.anewButton = part(panel, "anew");
    this.anewButton.addEventListener("click", () => this.clear());
    this.ready = false;
    this.resuming = false; // after a pause: what is sent now goes out with the connection
    this.failed = 0; // attempts to connect since the last connection
    this.fallbacks = new Map(); // by run
    this.stopButton.addEventListener("click", () => this.stop());
    this.socket = new Socket("/ws/chat/");
    this.update(gettext("Connecting…"), "wait");
    // Whoever comes back to the panel is about to write.
    panel.addEventListener("focusin", () => this.socket.paused && this.socket.wake());
    this.socket.addEventListener("frame", (event) => this.on(event.detail));
    this.socket.addEventListener("lost", (event) => this.lost(event.detail.final));
  }

  // With a turn, in place of its question and answer.
  ask(text, turn) {
    return new Promise((resolve, reject) => {
      this.asked = { text, turn, resolve, reject };
      if (this.ready) this.sendAsked();
      else if (this.socket.paused || this.resuming) this.socket.wake();
      else this.refuse(UNCONNECTED);
    });
  }

  sendAsked() {
    const { text, turn } = this.asked;
    this.asked.stopwatch = new Stopwatch("websocket");
    if (!this.socket.send(turn ? { type: "ask", text, turn } : { type: "ask", text })) this.refuse(UNCONNECTED);
  }

  async again(exchange) {
    if (this.asked) return;
    try {
      await this.ask(part(exchange.element, "question").textContent, exchange.element.dataset.turn);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.composer.refuse(error.message);
    }
  }

  edit(exchange) {
    this.composer.edit(part(exchange.element, "question").textContent, () => (this.edited = undefined));
    this.edited = exchange.element.dataset.turn;
  }

  clear() {
    if (!this.socket.send({ type: "clear" })) this.composer.refuse(gettext("There is no connection right now."));
  }

  equip(exchange) {
    this.tools.set(
      exchange,
      new Tools(exchange, {
        again: () => this.again(exchange),
        edit: () => this.edit(exchange),
        rate: (run, rating, comment) => this.socket.send({ type: "rate", run, rating, comment }),
      }),
    );
  }

  // An exchange of the history.
  fill(exchange, { turn, end, rating, comment }) {
    Object.assign(exchange.element.dataset, { turn, run: end.run, rating: rating ?? "", comment });
    this.ended.add(end.run);
    exchange.show(factsOf(end));
    exchange.know(end.run);
    this.equip(exchange);
    this.update();
  }

  stop() {
    for (const [run, { seen }] of this.running) this.socket.send({ type: "stop", run, seen });
  }

  resume(run) {
    this.socket.send({ type: "resume", run, after: this.running.get(run)?.seen ?? 0 });
  }

  on(frame) {
    switch (frame.type) {
      case "ready":
        return this.greeted(frame);
      case "started":
        return this.begin(frame);
      case "delta":
        return this.extend(frame);
      case "end":
        return this.end(frame.run, factsOf(frame));
      case "rated":
        return this.toolsOf(frame.run)?.rated(frame.rating, frame.comment);
      case "cleared":
        return this.drop(frame.after);
      case "error":
        return this.refused(frame);
    }
  }

  greeted({ run: latest, after }) {
    this.ready = true;
    this.resuming = false;
    this.failed = 0;
    if (after) this.drop(after);
    for (const fallback of this.fallbacks.values()) fallback.close();
    this.fallbacks.clear();
    for (const run of this.running.keys()) this.resume(run);
    if (latest && !this.running.has(latest) && !this.ended.has(latest)) this.resume(latest);
    if (this.asked) this.sendAsked();
    this.update();
  }

  // The conversation begins anew: these turns belong to the one before. Ids are in the order of time.
  drop(after) {
    const before = this.conversation.exchanges.filter(({ element }) => element.dataset.turn <= after);
    for (const exchange of before) {
      this.tools.delete(exchange);
      this.conversation.remove(exchange);
    }
    if (before.length > 0) {
      this.composer.leave();
      this.conversation.announce(gettext("A new conversation has begun."));
    }
    this.earlier.forget();
    if (document.activeElement === this.anewButton) this.composer.field.focus();
    this.update();
  }

  toolsOf(run) {
    return this.tools.get(this.conversation.exchanges.find(({ element }) => element.dataset.run === run));
  }

  begin({ run, turn, question }) {
    if (this.running.has(run) || this.ended.has(run)) return;
    let exchange = this.conversation.exchanges.find(({ element }) => element.dataset.turn === turn);
    if (exchange) {
      this.tools.get(exchange).begin();
      exchange.begin(question);
    } else {
      exchange = this.conversation.add(question);
      this.equip(exchange);
    }
    Object.assign(exchange.element.dataset, { run, turn, trace: run });
    exchange.wait(gettext("Thinking…"));
    this.running.set(run, { seen: 0, exchange });
    if (this.asked?.text === question) {
      exchange.stopwatch = this.asked.stopwatch;
      exchange.stopwatch.accepted(run);
      this.asked.resolve();
      this.asked = null;
    } else {
      exchange.stopwatch = goOn(run);
      if (exchange.stopwatch) exchange.stopwatch.transport = "websocket";
    }
    if (this.unconfirmed === question) this.confirm();
    this.update();
  }

  // It had arrived after all, so it is no draft any more.
  confirm() {
    const { field } = this.composer;
    if (field.value.trim() === this.unconfirmed) field.value = "";
    this.unconfirmed = null;
    this.composer.changed();
  }

  extend({ run, seq, text, restart }) {
    const shown = this.running.get(run);
    if (!shown) return;
    shown.seen = seq;
    if (restart) shown.exchange.restart();
    shown.exchange.append(text);
  }

  end(run, facts) {
    const shown = this.running.get(run);
    if (!shown) return;
    this.running.delete(run);
    this.fallbacks.delete(run);
    this.ended.add(run);
    shown.exchange.end(facts);
    // A focused button that disappears would lose the keyboard's place.
    if (this.running.size === 0 && document.activeElement === this.stopButton) this.composer.field.focus();
    this.update();
  }

  refused({ code, message, run, retry_after: wait }) {
    if (this.asked && run === this.asked.turn) return this.refuse(message, wait);
    // A stop that came after the end: that is on its way, or there. Anything else said of what has ended is a rating.
    if (code === "not_running") return;
    if (run && this.ended.has(run)) return this.toolsOf(run)?.refused(message);
    if (run && code === "unknown_run") return this.end(run, { state: "interrupted" });
    if (run && code === "unavailable") return setTimeout(() => this.ready && this.resume(run), AGAIN);
    if (run) return;
    if (this.asked) this.refuse(message, wait);
    else this.composer.refuse(message);
  }

  refuse(sentence, wait) {
    this.asked.reject(new Refusal(sentence, wait));
    this.asked = null;
  }

  // The socket goes on trying; until it succeeds answers come another way.
  fallBack(run) {
    if (this.fallbacks.has(run)) return;
    const fallback = new Fallback(run, () => this.running.get(run)?.seen ?? 0);
    this.fallbacks.set(run, fallback);
    fallback.addEventListener("frame", (event) => this.on(event.detail));
    fallback.addEventListener("way", (event) => {
      const { transport, words } = event.detail;
      this.reconnected(transport, [run]);
      this.update(interpolate(gettext("No WebSocket can be had. The answer goes on over %(way)s"), { way: words }), "bad");
    });
    fallback.start();
  }

  lost(final) {
    this.resuming = this.socket.paused;
    if (this.socket.paused) {
      this.ready = false;
      return this.update();
    }
    if (this.ready) this.reconnected("websocket");
    this.failed = this.ready ? 0 : this.failed + 1;
    this.ready = false;
    if (this.asked) {
      this.unconfirmed = this.asked.text;
      this.refuse(gettext("The connection was lost before your message was confirmed. Your text is kept."));
    }
    if (final) for (const run of [...this.running.keys()]) this.end(run, { state: "interrupted" });
    if (final) return this.update(gettext("Disconnected. Please reload the page"), "bad");
    if (this.failed >= ATTEMPTS && this.running.size > 0) {
      for (const run of this.running.keys()) this.fallBack(run);
    } else this.update(navigator.onLine ? gettext("Reconnecting…") : gettext("Offline. Reconnecting when the network is back"), "bad");
  }

  reconnected(transport, runs = this.running.keys()) {
    for (const run of runs) {
      const { stopwatch } = this.running.get(run)?.exchange ?? {};
      if (!stopwatch) continue;
      stopwatch.transport = transport;
      stopwatch.reconnected();
    }
  }

  // What can be done now, and a word for it.
  update(words, tone) {
    const writing = this.running.size > 0;
    const usable = this.ready || this.socket.paused || this.resuming;
    this.composer.setOpen(usable && !writing);
    const last = this.conversation.exchanges.at(-1);
    for (const [exchange, tools] of this.tools) tools.setLast(exchange === last && usable && !writing);
    this.anewButton.hidden = this.conversation.exchanges.length === 0;
    this.anewButton.disabled = writing || !this.ready;
    this.stopButton.hidden = !writing;
    this.stopButton.disabled = !this.ready;
    if (!words && this.socket.paused) [words, tone] = [PAUSED, "idle"];
    if (!words && this.resuming) [words, tone] = [gettext("Connecting…"), "wait"];
    if (!words && !this.ready) [words, tone] = [gettext("Reconnecting…"), "bad"];
    this.connection.textContent = words ?? (writing ? gettext("The model is writing") : gettext("Connected"));
    this.connection.dataset.tone = tone ?? (writing ? "wait" : "good");
  }
}

function factsOf(end) {
  return { ...end, ...end.timings, state: OUTCOMES[end.outcome] };
}
