// Measures one question on the browser's own clock, from the moment it is sent, and tells the server what was seen.
// The server joins that with what its processes know: see llm/timelines/joining.py.

import { pause } from "./pause.js";

const SETTLED = 1_500; // milliseconds after the end: then the row, the ledger and the marks of all processes are there

export class Stopwatch {
  // `transport`: websocket, sse, held or plain
  constructor(transport) {
    this.transport = transport;
    this.reconnects = 0;
    this.trace = null;
    this.sent = performance.now();
    this.acceptedAt = this.firstAt = this.endAt = null;
  }

  get elapsed() {
    return performance.now() - this.sent;
  }

  accepted(trace) {
    this.trace = trace;
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
    }
  }
}

function token() {
  return document.querySelector('[name="csrfmiddlewaretoken"]').value;
}
