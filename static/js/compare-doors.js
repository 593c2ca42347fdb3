// The doors of the site, each a way from a question to its answer. Each is a function of the question and a watcher,
// {signal, text(words, restart)}, and resolves to {stopwatch, state, html, error}; it throws Refusal where it is not
// let in. When the signal is aborted the answer is stopped where it is written, and ends like any other.

import { Refusal } from "./composer.js";
import { Backoff, pause } from "./pause.js";
import { Socket } from "./socket.js";
import { Stopwatch } from "./stopwatch.js";
import { gettext } from "./words.js";

const HOLD = 20; // seconds
const ARTICLE = 500; // milliseconds between two looks, as in the article
const PATIENCE = 15_000; // milliseconds for a connection
const FINISHED = ["answered", "failed", "stopped"];
const OUTCOMES = { done: "answered", stopped: "stopped", error: "failed", interrupted: "failed" };
const UNREACHABLE = gettext("The server cannot be reached. Please try again in a moment.");

export const DOORS = {
  held: (text, watcher) => poll(text, watcher, "held", (url) => `${url}&wait=${HOLD}`, 0),
  plain: (text, watcher) => poll(text, watcher, "plain", (url) => url, ARTICLE),
  websocket: overSocket,
  sse: readAlong,
};

async function poll(text, watcher, transport, address, every) {
  const { stopwatch, asked } = await ask(text, watcher, transport);
  const backoff = new Backoff(500, 3000);
  for (;;) {
    const state = await look(address(asked.poll_url));
    if (state === null) {
      stopwatch.reconnected();
      await pause(backoff.take());
    } else if (FINISHED.includes(state.status)) return ended(stopwatch, state);
    else await pause(every);
  }
}

async function readAlong(text, watcher) {
  const { stopwatch, asked } = await ask(text, watcher, "sse");
  const source = new EventSource(asked.events_url);
  try {
    return await new Promise((resolve, reject) => {
      source.addEventListener("delta", (event) => {
        const delta = JSON.parse(event.data);
        watcher.text(delta.text, delta.restart);
        stopwatch.first();
      });
      source.addEventListener("end", (event) => resolve(ended(stopwatch, JSON.parse(event.data))));
      // It comes back by itself, with the number of what it has, unless it was refused.
      source.addEventListener("error", () => {
        if (source.readyState === EventSource.CLOSED) reject(new Refusal(UNREACHABLE));
        else stopwatch.reconnected();
      });
    });
  } finally {
    source.close();
  }
}

async function overSocket(text, { signal, text: show }) {
  const socket = new Socket("/ws/chat/");
  let stopwatch = null;
  let run = null;
  let seen = 0;
  const stop = () => run && socket.send({ type: "stop", run, seen });
  signal.addEventListener("abort", stop);
  try {
    return await new Promise((resolve, reject) => {
      const refuse = setTimeout(() => reject(new Refusal(UNREACHABLE)), PATIENCE);
      const on = {
        ready() {
          if (run) return socket.send({ type: "resume", run, after: seen });
          if (stopwatch) return reject(new Refusal(UNREACHABLE));
          stopwatch = new Stopwatch("websocket");
          socket.send({ type: "ask", text });
        },
        started(frame) {
          if (run || frame.question !== text) return;
          clearTimeout(refuse);
          ({ run } = frame);
          stopwatch.accepted(run);
          if (signal.aborted) stop();
        },
        delta(frame) {
          if (frame.run !== run) return;
          seen = frame.seq;
          show(frame.text, frame.restart);
          stopwatch.first();
        },
        end(frame) {
          if (frame.run === run) resolve(ended(stopwatch, { ...frame, status: OUTCOMES[frame.outcome] }));
        },
        error(frame) {
          if (frame.code !== "not_running") reject(new Refusal(frame.message));
        },
      };
      socket.addEventListener("frame", ({ detail }) => on[detail.type]?.(detail));
      socket.addEventListener("lost", ({ detail }) => (detail.final ? reject(new Refusal(UNREACHABLE)) : stopwatch?.reconnected()));
      signal.addEventListener("abort", () => run === null && reject(new Refusal(gettext("Stopped before it was asked."))));
    });
  } finally {
    signal.removeEventListener("abort", stop);
    socket.close();
  }
}

async function ask(text, { signal }, transport) {
  const headers = {
    "Content-Type": "application/json",
    "X-CSRFToken": document.querySelector('[name="csrfmiddlewaretoken"]').value,
  };
  const stopwatch = new Stopwatch(transport);
  let response;
  try {
    response = await fetch("/api/chat/", { method: "POST", headers, body: JSON.stringify({ message: text }) });
  } catch {
    throw new Refusal(UNREACHABLE);
  }
  const asked = await response.json().catch(() => null);
  if (!response.ok) throw new Refusal(asked?.error?.message ?? UNREACHABLE);
  stopwatch.accepted(asked.trace_id);
  const stop = () => fetch(asked.stop_url, { method: "POST", headers, body: "{}" }).catch(() => null);
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
  return { stopwatch, asked };
}

// Returns where the question stands, null where nobody can say.
async function look(url) {
  try {
    const response = await fetch(url);
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

function ended(stopwatch, { status, html, error }) {
  return { stopwatch, state: status, html, error };
}
