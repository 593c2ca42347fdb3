// The right panel: one open connection, over which the answer streams.

import { Composer, Refusal } from "./composer.js";
import { Conversation, part } from "./conversation.js";
import { Socket } from "./socket.js";

const OUTCOMES = { done: "answered", stopped: "stopped", error: "failed" };

export class WsChat {
  constructor(panel) {
    this.connection = part(panel, "connection");
    this.stopButton = part(panel, "stop");
    this.conversation = new Conversation(panel);
    this.composer = new Composer(panel, (text) => this.ask(text));
    this.asked = null; // {text, resolve, reject}: sent, and neither accepted nor refused yet
    this.run = null; // {id, seen, exchange}: being answered
    this.stopButton.addEventListener("click", () => this.stop());
    this.composer.setOpen(false);
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
    if (this.run) this.socket.send({ type: "stop", run: this.run.id, seen: this.run.seen });
  }

  on(frame) {
    switch (frame.type) {
      case "ready":
        this.composer.setOpen(true);
        return this.say("Connected", "good");
      case "started":
        return this.begin(frame.run);
      case "delta":
        this.run.seen = frame.seq;
        if (frame.restart) this.run.exchange.restart();
        return this.run.exchange.append(frame.text);
      case "end":
        this.run.exchange.end({ ...frame, ...frame.timings, state: OUTCOMES[frame.outcome] });
        return this.finish();
      case "error":
        if (this.asked) this.refuse(frame.message);
        else if (frame.code === "no_visitor") this.composer.refuse(frame.message);
    }
  }

  begin(id) {
    const exchange = this.conversation.add(this.asked.text);
    exchange.wait("Thinking…");
    this.run = { id, seen: 0, exchange };
    this.asked.resolve();
    this.asked = null;
    this.composer.setOpen(false);
    this.stopButton.hidden = false;
    this.say("The model is writing", "wait");
  }

  finish() {
    this.run = null;
    this.composer.setOpen(this.socket.connected);
    // A focused button that disappears would lose the keyboard's place.
    if (document.activeElement === this.stopButton) this.composer.field.focus();
    this.stopButton.hidden = true;
    if (this.socket.connected) this.say("Connected", "good");
  }

  refuse(sentence) {
    this.asked.reject(new Refusal(sentence));
    this.asked = null;
  }

  lost(final) {
    this.composer.setOpen(false);
    if (this.asked) this.refuse("The connection was lost before your message arrived. Your text is kept.");
    if (this.run) {
      this.run.exchange.end({ state: "interrupted" });
      this.finish();
    }
    if (final) this.say("Disconnected. Please reload the page", "bad");
    else this.say("Reconnecting…", "bad");
  }

  say(words, tone) {
    this.connection.textContent = words;
    this.connection.dataset.tone = tone;
  }
}
