// The data agent's page: one WebSocket, a list of steps, a form for questions. The state is the server's: what arrives
// in a frame is shown, and a reload shows the same.

import { Composer, Refusal } from "./composer.js";
import { part } from "./conversation.js";
import { Step } from "./data-agent-step.js";
import { Socket } from "./socket.js";

const WORK = {
  proposing: "Looking for a query…",
  checking: "Checking the query…",
  running: "Running the query…",
  answering: "Putting the result into words…",
};
const SAID = {
  proposed: "A query is proposed. Read it, then approve or reject it.",
  blocked: "The query cannot run. The reasons are shown.",
  failed: "The query failed.",
  rejected: "The query was rejected.",
  skipped: "The question was skipped.",
};

class Workspace {
  constructor(root) {
    this.root = root;
    this.session = root.dataset.session || null;
    this.steps = new Map();
    this.list = part(root, "steps");
    this.stop = part(root, "stop");
    this.progress = part(root, "progress");
    this.composer = new Composer(root, (text) => this.ask(text));
    this.composer.setOpen(false);
    this.stop.addEventListener("click", () => {
      this.socket.send({ type: "stop" });
      this.finish("Stopped. The question is still here, to be changed or sent again.");
      this.open();
    });
    this.socket = new Socket("/ws/data-agent/");
    this.socket.addEventListener("open", () => this.connected());
    this.socket.addEventListener("frame", (event) => this.receive(event.detail));
    this.socket.addEventListener("lost", (event) => this.lost(event.detail));
  }

  connected() {
    this.say("Connected", "good");
    this.composer.setOpen(true);
    if ("new" in this.root.dataset && !this.session) this.show({ session: null, steps: [] });
    else this.open();
  }

  lost({ final }) {
    this.composer.setOpen(false);
    this.say(final ? "Not connected. Reload the page." : "Connection lost, trying again…", final ? "bad" : "wait");
    this.finish("The connection was lost. Please send the question again.");
    for (const step of this.steps.values()) step.setWorking(false);
  }

  open() {
    this.socket.send(this.session ? { type: "open", session: this.session } : { type: "open" });
  }

  // Resolves when the proposal is there, so that a question is not lost before.
  ask(text) {
    if (this.working) throw new Refusal("Something is still being worked on. Wait for it, or stop it.");
    const frame = this.session ? { type: "ask", text, session: this.session } : { type: "ask", text };
    if (!this.socket.send(frame)) throw new Refusal("There is no connection right now. Please send it again in a moment.");
    return new Promise((resolve, reject) => (this.asking = { resolve, reject }));
  }

  // Called by a step's buttons.
  decide(frame) {
    if (!this.socket.send(frame)) return this.complain("There is no connection right now. Please try again in a moment.");
    this.steps.get(frame.step)?.setWorking(true);
  }

  receive(frame) {
    if (frame.type === "ready") this.show(frame);
    else if (frame.type === "working") this.work(WORK[frame.what]);
    else if (frame.type === "step") this.update(frame.step);
    else if (frame.type === "error") this.fail(frame);
  }

  show({ session, steps }) {
    this.session = session ?? this.session;
    for (const step of steps) this.put(step);
    part(this.root, "empty").hidden = this.steps.size > 0;
    this.list.lastElementChild?.scrollIntoView({ block: "nearest" });
  }

  update(data) {
    const isNew = !this.steps.has(data.id);
    const step = this.put(data);
    part(this.root, "empty").hidden = true;
    if (isNew) {
      this.session = data.session;
      history.replaceState(null, "", `/data-agent/${data.session}/`);
      this.asking?.resolve();
      this.asking = null;
      step.focus();
    }
    if (data.state !== "approved" && data.state !== "executed") this.work(null);
    this.announce(data.state === "answered" ? `Answer: ${data.answer}` : (SAID[data.state] ?? ""));
    step.element.scrollIntoView({ block: "nearest" });
  }

  put(data) {
    let step = this.steps.get(data.id);
    if (!step) {
      step = new Step(part(this.root, "blank"), (frame) => this.decide(frame));
      this.steps.set(data.id, step);
      this.list.append(step.element);
    }
    step.show(data);
    return step;
  }

  fail({ code, message }) {
    for (const step of this.steps.values()) step.setWorking(false);
    const asked = this.asking;
    this.finish(message);
    if (!asked) this.complain(message);
    // What is shown is not what the server has: ask for it.
    if (code === "not_decidable" || code === "not_found") this.open();
  }

  finish(message) {
    this.work(null);
    this.asking?.reject(new Refusal(message));
    this.asking = null;
  }

  work(text) {
    this.working = text !== null;
    this.progress.hidden = text === null;
    this.progress.textContent = text ?? "";
    this.stop.hidden = text === null;
    if (text !== null) this.announce(text);
  }

  complain(message) {
    const refusal = part(this.root, "refusal");
    refusal.textContent = message;
    refusal.hidden = false;
  }

  say(text, tone) {
    const connection = part(this.root, "connection");
    connection.textContent = text;
    connection.dataset.tone = tone;
  }

  announce(text) {
    part(this.root, "announcer").textContent = text;
  }
}

new Workspace(document.getElementById("data-agent"));
