// Measures one question on the browser's own clock, from the moment it is sent, and tells the server what was seen.
// The server joins that with what its processes know: see llm/timelines/joining.py.

import { pause } from "./pause.js";

const SETTLED = 1_500; // milliseconds after the end: then the row, the ledger and the marks of all processes are there
const KEPT = "stopwatches";

// What runs in this page, and by trace what ran in it until it was loaded again.
const running = new Set();
const before = take();

addEventListener("pagehide", () => {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify([...running]));
  } catch {
    // There is no storage. A timeline is an extra.
  }
});

// Goes on with a stopwatch of this page that ran when it was loaded again; null where there is none.
export function goOn(trace) {
  const kept = before.get(trace);
  if (!kept) return null;
  before.delete(trace);
  const stopwatch = Object.assign(new Stopwatch(kept.transport), kept);
  running.add(stopwatch);
  if (stopwatch.endAt === null) stopwatch.reconnected();
  return stopwatch;
}

// Who went elsewhere and came back did not wait for the answer.
function take() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT)) ?? [];
    sessionStorage.removeItem(KEPT);
    const [{ type }] = performance.getEntriesByType("navigation");
    return new Map(type === "reload" ? kept.map((each) => [each.trace, each]) : []);
  } catch {
    return new Map();
  }
}

// Goes on from one load of the page to the next, at the precision of the page's own clock.
function now() {
  return performance.timeOrigin + performance.now();
}

export class Stopwatch {
  // `transport`: websocket, sse, held or plain
  constructor(transport) {
    this.transport = transport;
    this.reconnects = 0;
    this.trace = null;
    this.sent = now();
    this.acceptedAt = this.firstAt = this.endAt = null;
  }

  get elapsed() {
    // The system's clock may have been put back between two loads.
    return Math.max(0, now() - this.sent);
  }

  accepted(trace) {
    this.trace = trace;
    running.add(this);
    this.acceptedAt ??= this.elapsed;
  }

  // Text is shown.
  first() {
    this.firstAt ??= this.elapsed;
  }

  // The end is shown; of an answer without text nothing else was.
  end(hasText) {
    this.endAt ??= this.elapsed;
    if (hasText) this.firstAt ??= this.endAt;
  }

  // Had to begin again to wait for the answer.
  reconnected() {
    this.reconnects += 1;
  }

  // Returns {trace, summary}, null where there is no timeline to be had. It is an extra, so that is nobody's fault.
  async report() {
    if (this.trace === null || this.endAt === null) return null;
    await pause(SETTLED);
    const { trace, transport, reconnects } = this;
    // What took less than the clock can tell took no time.
    const accepted = this.acceptedAt;
    const first = this.firstAt === null ? null : Math.max(accepted, this.firstAt);
    const end = Math.max(first ?? accepted, this.endAt);
    try {
      const response = await fetch("/api/timelines/", {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRFToken": token() },
        body: JSON.stringify({ trace, transport, accepted, first, end, reconnects }),
      });
      return response.ok ? await response.json() : null;
    } catch {
      return null;
    } finally {
      running.delete(this);
    }
  }
}

function token() {
  return document.querySelector('[name="csrfmiddlewaretoken"]').value;
}
