// The right panel: one open connection, over which the visitor's answers stream, whichever of their pages asked.
//
// An answer belongs to no connection. After a loss, a reload or a restart of the server the page names the run and how
// much of it it has, and is sent exactly the rest.

import { Composer, Refusal } from "./composer.js";
import { Conversation, part } from "./conversation.js";
import { Fallback } from "./fallback.js";
import { Socket } from "./socket.js";

const OUTCOMES = { done: "answered", stopped: "stopped", error: "failed", interrupted: "interrupted" };
const ATTEMPTS = 3; // failed connections after which running answers come another way
const AGAIN = 3_000; // milliseconds until the server is asked once more for what it could not look up

export class WsChat {
  constructor(panel) {
    this.connection = part(panel, "connection");
    this.stopButton = part(panel, "stop");
    this.conversation = new Conversation(panel);
    this.composer = new Composer(panel, (text) => this.ask(text));
    this.asked = null; // {text, resolve, reject}: sent, and neither accepted nor refused yet
    this.unconfirmed = null; // a text that was sent over a connection that was lost before the reply
    this.running = new Map(); // by run: {seen, exchange}, where seen is the number of the last delta
    this.ended = new Set(this.conversation.exchanges.map((exchange) => exchange.element.dataset.run));
    this.ready = false;
    this.failed = 0; // attempts to connect since the last connection
    this.fallbacks = new Map(); // by run
    this.stopButton.addEventListener("click", () => this.stop());
    this.update("Connecting…", "wait");
    this.socket = new Socket("/ws/chat/");
    this.socket.addEventListener("frame", (event) => this.on(event.detail));
    this.socket.addEventListener("lost", (event) => this.lost(event.detail.final));
  }

  ask(text) {
    return new Promise((resolve, reject) => {
      this.asked = { text, resolve, reject };
      if (!this.socket.send({ type: "ask", text })) {
        this.refuse("There is no connection right now. Your text is kept; send it when the connection is back.");
      }
    });
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
        return this.greeted(frame.run);
      case "started":
        return this.begin(frame.run, frame.question);
      case "delta":
        return this.extend(frame);
      case "end":
        return this.end(frame.run, { ...frame, ...frame.timings, state: OUTCOMES[frame.outcome] });
      case "error":
        return this.refused(frame);
    }
  }

  greeted(latest) {
    this.ready = true;
    this.failed = 0;
    for (const fallback of this.fallbacks.values()) fallback.close();
    this.fallbacks.clear();
    for (const run of this.running.keys()) this.resume(run);
    if (latest && !this.running.has(latest) && !this.ended.has(latest)) this.resume(latest);
    this.update();
  }

  begin(run, question) {
    if (this.running.has(run) || this.ended.has(run)) return;
    const exchange = this.conversation.add(question);
    exchange.element.dataset.run = run;
    exchange.wait("Thinking…");
    this.running.set(run, { seen: 0, exchange });
    if (this.asked?.text === question) {
      this.asked.resolve();
      this.asked = null;
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

  refused({ code, message, run }) {
    if (run && code === "unknown_run") return this.end(run, { state: "interrupted" });
    if (run && code === "unavailable") return setTimeout(() => this.ready && this.resume(run), AGAIN);
    // A stop that came after the end: that is on its way.
    if (run) return;
    if (this.asked) this.refuse(message);
    else if (code === "no_visitor") this.composer.refuse(message);
  }

  refuse(sentence) {
    this.asked.reject(new Refusal(sentence));
    this.asked = null;
  }

  // The socket goes on trying; until it succeeds answers come another way.
  fallBack(run) {
    if (this.fallbacks.has(run)) return;
    const fallback = new Fallback(run, () => this.running.get(run)?.seen ?? 0);
    this.fallbacks.set(run, fallback);
    fallback.addEventListener("frame", (event) => this.on(event.detail));
    fallback.addEventListener("way", (event) => {
      this.update(`No WebSocket can be had. The answer goes on over ${event.detail}`, "bad");
    });
    fallback.start();
  }

  lost(final) {
    this.failed = this.ready ? 0 : this.failed + 1;
    this.ready = false;
    if (this.asked) {
      this.unconfirmed = this.asked.text;
      this.refuse("The connection was lost before your message was confirmed. Your text is kept.");
    }
    if (final) for (const run of [...this.running.keys()]) this.end(run, { state: "interrupted" });
    if (final) return this.update("Disconnected. Please reload the page", "bad");
    if (this.failed >= ATTEMPTS && this.running.size > 0) {
      for (const run of this.running.keys()) this.fallBack(run);
    } else this.update(navigator.onLine ? "Reconnecting…" : "Offline. Reconnecting when the network is back", "bad");
  }

  // What can be done now, and a word for it.
  update(words, tone) {
    const writing = this.running.size > 0;
    this.composer.setOpen(this.ready && !writing);
    this.stopButton.hidden = !writing;
    this.stopButton.disabled = !this.ready;
    if (!words && !this.ready) [words, tone] = ["Reconnecting…", "bad"];
    this.connection.textContent = words ?? (writing ? "The model is writing" : "Connected");
    this.connection.dataset.tone = tone ?? (writing ? "wait" : "good");
  }
}
