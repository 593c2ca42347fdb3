// The left panel: POST the question, then ask until the answer is there.
//
// A visitor's questions are answered one after the other, so one request is held at a time: browsers open only six
// connections to a site, and more held ones would be in the way of the next question and of a stop.

import { Composer, Refusal } from "./composer.js";
import { Conversation, part } from "./conversation.js";
import { Pace } from "./kafka-pace.js";
import { Backoff, pause } from "./pause.js";
import { Stopwatch } from "./stopwatch.js";
import { Tools } from "./tools.js";
import { gettext } from "./words.js";

const HOLD = 20; // seconds that the server may hold a request until there is an answer
const PATIENCE = 35_000; // milliseconds after which a held request counts as lost
const HELD = 1_000; // milliseconds from which on a request counts as held
const CUT = 2; // held requests of a question that were cut or not held, after which the others are not held
const FINISHED = ["answered", "failed", "stopped"];
const NOT_STOPPED = gettext("The answer could not be stopped");
const NOT_RATED = gettext("The server cannot be reached. Please try again in a moment.");
const UNREACHABLE = gettext("The server cannot be reached. Your text is kept; please send it again in a moment.");

export class KafkaChat {
  constructor(panel) {
    this.token = panel.querySelector('[name="csrfmiddlewaretoken"]').value;
    this.connection = part(panel, "connection");
    this.conversation = new Conversation(panel);
    this.key = null;
    this.waiting = 0;
    this.stopButton = part(panel, "stop");
    this.stopButton.addEventListener("click", () => this.stop());
    const drop = part(panel, "drop");
    drop.addEventListener("click", () => this.drop());
    drop.hidden = false;
    this.looking = null; // the request that is held now: {dropped, aborting}
    this.following = null; // the id of the question whose answer is waited for
    this.earlier = Promise.resolve(); // what becomes of the questions before the next one
    this.composer = new Composer(panel, (text) => this.ask(text));
    this.tools = new Map(); // by exchange
    for (const exchange of this.conversation.exchanges) {
      this.equip(exchange);
      if (exchange.pollUrl) this.watch(exchange, exchange.pollUrl);
    }
    this.say();
  }

  async ask(text) {
    // Sent again after a lost reply, the same text has the same key, so it is not asked twice.
    if (this.key?.text !== text) this.key = { text, value: randomKey() };
    const stopwatch = new Stopwatch("held");
    let response;
    try {
      response = await this.post("/api/chat/", { message: text }, { "Idempotency-Key": this.key.value });
    } catch {
      throw new Refusal(UNREACHABLE);
    }
    const body = await read(response);
    if (!response.ok) {
      const wait = response.status === 429 ? Number(response.headers.get("Retry-After")) : null;
      throw new Refusal(body?.error?.message ?? UNREACHABLE, wait);
    }
    this.key = null;
    stopwatch.accepted(body.trace_id);
    const exchange = this.conversation.add(text);
    exchange.stopwatch = stopwatch;
    Object.assign(exchange.element.dataset, { run: body.message_id, trace: body.trace_id });
    this.equip(exchange);
    this.watch(exchange, body.poll_url);
  }

  // What was asked stays in the log and in the page: asked again or edited, it is the next question.
  equip(exchange) {
    const question = () => part(exchange.element, "question").textContent;
    const tools = new Tools(exchange, {
      again: () => this.again(question()),
      edit: () => this.composer.edit(question(), () => {}),
      rate: (id, rating, comment) => {
        this.rate(tools, id, rating, comment);
        return true;
      },
    });
    this.tools.set(exchange, tools);
  }

  async again(text) {
    if (this.composer.sending) return;
    const reason = await this.composer.deliver(text);
    if (reason !== null) this.composer.refuse(reason);
  }

  async rate(tools, id, rating, comment) {
    try {
      const response = await this.post(`/api/chat/${id}/rating/`, { rating, comment });
      const body = await read(response);
      if (response.ok) tools.rated(body.rating, body.comment);
      else tools.refused(body?.error?.message ?? NOT_RATED);
    } catch {
      tools.refused(NOT_RATED);
    }
  }

  post(url, body, headers = {}) {
    return fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": this.token, ...headers },
      body: JSON.stringify(body),
    });
  }

  async watch(exchange, url) {
    this.waiting += 1;
    this.stopButton.hidden = false;
    this.say();
    const earlier = this.earlier;
    let done;
    this.earlier = new Promise((resolve) => (done = resolve));
    await earlier;
    this.following = new URL(url, location.href).searchParams.get("message_id");
    this.stopButton.disabled = false;
    const facts = await this.answerAt(url, exchange);
    this.following = null;
    this.waiting -= 1;
    done();
    exchange.end(facts);
    if (this.waiting === 0) this.hideStop();
    this.say();
  }

  // Nothing is seen of an answer before its end, so what was written until now is kept.
  async stop() {
    const id = this.following;
    if (id === null) return;
    this.stopButton.disabled = true;
    let stopped = false;
    try {
      const response = await this.post(`/api/chat/${id}/stop/`, {});
      stopped = response.ok;
    } catch {
      // Said below. The answer itself comes, or is asked for, as before.
    }
    if (stopped || this.following !== id) return;
    this.stopButton.disabled = false;
    this.say(NOT_STOPPED, "bad");
  }

  // Shows what survives: the question and its answer are on the server, and are asked for again.
  drop() {
    if (this.looking === null) return this.say(gettext("No connection is held: nothing is asked right now"));
    this.looking.dropped = true;
    this.looking.aborting.abort();
  }

  hideStop() {
    // A focused button that disappears would lose the keyboard's place.
    if (document.activeElement === this.stopButton) this.composer.field.focus();
    this.stopButton.hidden = true;
  }

  // Returns what became of the question; asks for as long as it takes.
  async answerAt(url, exchange) {
    const backoff = new Backoff(500, 3000);
    const pace = new Pace();
    let cut = 0;
    for (;;) {
      const holds = cut < CUT;
      const asked = performance.now();
      if (exchange.stopwatch) exchange.stopwatch.transport = holds ? "held" : "plain";
      const looking = (this.looking = { dropped: false, aborting: new AbortController() });
      const response = await look(holds ? `${url}&wait=${HOLD}` : url, looking.aborting);
      this.looking = null;
      const held = performance.now() - asked >= HELD;
      if (response === null || response.status >= 500 || response.status === 429) {
        const what = response === null ? gettext("The server cannot be reached, trying again") : gettext("The server is busy, trying again");
        this.say(looking.dropped ? gettext("You dropped the connection, trying again") : what, "bad");
        if (held && !looking.dropped) cut += 1;
        exchange.stopwatch?.reconnected();
        await pause(Math.max(backoff.take(), Number(response?.headers.get("Retry-After") ?? 0) * 1000));
        continue;
      }
      const { body } = response;
      if (!response.ok) return { state: "failed", error: body?.error?.message };
      if (FINISHED.includes(body?.status)) return { ...body, ...body.timings, state: body.status };
      backoff.reset();
      exchange.wait(body?.status === "generating" ? gettext("A worker is answering…") : gettext("Processing…"));
      this.say(holds ? undefined : gettext("Requests that wait are cut off on the way here: looking now and then"));
      // A server that held the request has done the waiting.
      if (holds && held) cut = 0;
      else {
        cut += 1;
        await pause(pace.take());
      }
    }
  }

  say(words, tone) {
    this.connection.textContent = words ?? (this.waiting ? gettext("Waiting for a worker's answer") : gettext("Ready"));
    this.connection.dataset.tone = tone ?? (this.waiting ? "wait" : "good");
    const last = this.conversation.exchanges.at(-1);
    for (const [exchange, tools] of this.tools) tools.setLast(exchange === last && exchange.hasEnded);
  }
}

// Returns the response with what it carries, null where there was none in time.
async function look(url, aborting) {
  const late = setTimeout(() => aborting.abort(), PATIENCE);
  try {
    const response = await fetch(url, { signal: aborting.signal });
    const { ok, status, headers } = response;
    return { ok, status, headers, body: await read(response) };
  } catch {
    return null;
  } finally {
    clearTimeout(late);
  }
}

async function read(response) {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

// crypto.randomUUID() is missing where there is no HTTPS.
function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
