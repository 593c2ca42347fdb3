// The data agent's page: one WebSocket, a list of steps, a form for questions. The state is the server's: what arrives
// in a frame is shown, and a reload shows the same.

import { Composer, Refusal } from "./composer.js";
import { part } from "./conversation.js";
import { Aside } from "./data-agent-aside.js";
import { Progress } from "./data-agent-progress.js";
import { Sharing } from "./data-agent-sharing.js";
import { SHOWN_AS } from "./data-agent-states.js";
import { Step } from "./data-agent-step.js";
import { Backoff } from "./pause.js";
import { Socket } from "./socket.js";
import { gettext, interpolate } from "./words.js";

class Workspace {
  constructor(root) {
    this.root = root;
    this.session = root.dataset.session || null;
    this.rights = { readOnly: false, mayVerify: "staff" in root.dataset };
    this.steps = new Map();
    this.looks = new Backoff(1000, 15_000);
    this.list = part(root, "steps");
    this.aside = new Aside(root);
    this.sharing = new Sharing(root, (frame) => this.socket.send({ ...frame, session: this.session }));
    this.progress = new Progress(root, { stop: () => this.stop(), say: (text) => this.announce(text) });
    this.composer = new Composer(root, (text) => this.ask(text));
    this.composer.setOpen(false);
    this.socket = new Socket("/ws/data-agent/");
    this.socket.addEventListener("open", () => this.connected());
    this.socket.addEventListener("frame", (event) => this.receive(event.detail));
    this.socket.addEventListener("lost", (event) => this.lost(event.detail));
    document.addEventListener("keydown", (event) => this.key(event));
  }

  // Keys are for the step in which they are pressed; without a focus, for the one that waits.
  key(event) {
    const steps = [...this.steps.values()];
    const inStep = steps.find((step) => step.element.contains(event.target));
    const step = inStep ?? (event.target === document.body ? steps.findLast((each) => each.isWaiting) : null);
    step?.key(event);
  }

  connected() {
    this.say(gettext("Connected"), "good");
    this.composer.setOpen(true);
    this.open();
  }

  lost({ final }) {
    this.composer.setOpen(false);
    if (final) this.say(gettext("Not connected. Reload the page."), "bad");
    else this.say(gettext("Connection lost, trying again…"), "wait");
    this.finish(gettext("The connection was lost. Please send the question again."));
    for (const step of this.steps.values()) step.setWorking(false);
  }

  // Without a session the server shows the newest one, unless a new one is to begin.
  open() {
    if (this.session) this.socket.send({ type: "open", session: this.session });
    else if ("new" in this.root.dataset) this.show({ session: null, steps: [] });
    else this.socket.send({ type: "open" });
  }

  // Resolves when the proposal is there, so that a question is not lost before.
  ask(text) {
    const busy = gettext("Something is still being worked on. Wait for it, or stop it.");
    const alone = gettext("There is no connection right now. Please send it again in a moment.");
    if (this.progress.isWorking) throw new Refusal(busy);
    const frame = this.session ? { type: "ask", text, session: this.session } : { type: "ask", text };
    if (!this.socket.send(frame)) throw new Refusal(alone);
    return new Promise((resolve, reject) => (this.asking = { resolve, reject }));
  }

  stop() {
    this.socket.send({ type: "stop" });
    this.finish(gettext("Stopped. The question is still here, to be changed or sent again."));
    // What became of a query that was running, the server knows.
    this.open();
  }

  // Called by a step's buttons.
  decide(frame) {
    this.deciding = frame.step;
    return this.socket.send(frame);
  }

  // Leads to the row that a number of an answer is from.
  trace(id, row) {
    const step = this.steps.get(id);
    if (step) step.result.pointAt(row);
    else this.complain(gettext("That number is from an older step, which is not shown here."));
  }

  receive(frame) {
    if (frame.type === "ready") this.show(frame);
    else if (frame.type === "working") this.progress.show(frame.what);
    else if (frame.type === "step") this.update(frame.step);
    else if (frame.type === "shared") this.sharing.show(frame.shared_with);
    else if (frame.type === "verdict") this.steps.get(frame.step)?.checked(frame);
    else if (frame.type === "error") this.fail(frame);
  }

  show({ session, steps, title, mine = true, owner, shared_with: sharedWith = [], may_verify: mayVerify }) {
    const first = this.steps.size === 0;
    this.session = session ?? this.session;
    this.rights = { readOnly: !mine, mayVerify: mayVerify ?? this.rights.mayVerify };
    this.sharing.open({ session: this.session, mine, owner, sharedWith });
    this.composer.form.hidden = !mine;
    if (title) document.title = [title, gettext("Data agent"), "Triptych"].join(" · ");
    for (const step of steps) this.put(step);
    part(this.root, "empty").hidden = this.steps.size > 0;
    if (first) this.arrive();
    this.lookAgain(steps);
  }

  // What runs for another connection, an earlier one of this page or another tab's, ends without a frame for this one.
  lookAgain(steps) {
    clearTimeout(this.look);
    if (this.progress.isWorking || !steps.some((step) => SHOWN_AS[step.state].busy)) this.looks.reset();
    else this.look = setTimeout(() => this.open(), this.looks.take());
  }

  // Where a page that was just opened begins: at the step of its address, at one that waits, or with a question.
  arrive() {
    const steps = [...this.steps.values()];
    const named = steps.find((step) => location.hash === `#${step.element.id}`);
    const step = named ?? steps.at(-1);
    step?.reveal();
    if (document.activeElement !== document.body) return;
    if (named || step?.isWaiting) step.focus();
    else if (matchMedia("(hover: hover)").matches) this.composer.field.focus({ preventScroll: true });
  }

  update(data) {
    const isNew = !this.steps.has(data.id);
    const step = this.put(data);
    step.complain("");
    part(this.root, "empty").hidden = true;
    if (isNew) this.begin(step, data);
    const { busy, said } = SHOWN_AS[data.state];
    if (!busy) this.progress.end();
    this.announce(data.state === "answered" ? interpolate(gettext("Answer: %(answer)s"), data) : (said ?? ""));
    step.reveal();
  }

  begin(step, data) {
    if (this.session !== data.session) {
      this.session = data.session;
      history.replaceState(null, "", `/data-agent/${data.session}/`);
      this.aside.add(data.session, data.question);
      this.sharing.open({ session: data.session, mine: true, sharedWith: [] });
    }
    this.asking?.resolve();
    this.asking = null;
    step.focus();
  }

  put(data) {
    let step = this.steps.get(data.id);
    if (!step) {
      for (const other of this.steps.values()) if (other.data.thread === data.thread) other.follow();
      step = new Step(part(this.root, "blank"), {
        decide: (frame) => this.decide(frame),
        check: (frame) => this.socket.send({ type: "check", ...frame }),
        say: (text) => this.announce(text),
        trace: (id, row) => this.trace(id, row),
        again: (question) => this.composer.fill(question),
      });
      this.steps.set(data.id, step);
      this.list.append(step.element);
    }
    step.show(data, this.rights);
    return step;
  }

  fail({ code, message }) {
    for (const step of this.steps.values()) step.setWorking(false);
    const asked = this.asking;
    const decided = this.steps.get(this.deciding);
    this.finish(message);
    if (asked || this.sharing.complain(message)) return;
    // What is shown is not what the server has: ask for it. What is said stays beside what it was said about.
    if (code === "not_decidable" || code === "not_found") this.open();
    if (decided?.isWaiting) decided.complain(message);
    else this.complain(message);
  }

  finish(message) {
    this.progress.end();
    this.asking?.reject(new Refusal(message));
    this.asking = null;
    this.deciding = null;
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
