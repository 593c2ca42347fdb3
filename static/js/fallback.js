// Goes on with a run where no WebSocket can be had: over server-sent events or, where those do not come either, by
// asking again and again. The frames and the cursor are those of the socket.

import { Backoff, pause } from "./pause.js";
import { gettext } from "./words.js";

const PATIENCE = 5_000; // milliseconds for the first sign of a stream: a proxy may hold it back
const HOLD = 15; // seconds that the server may hold a request until there is something new

// Events: "frame" (detail: the frame), "way" (detail: {transport, words}, how the answer comes).
export class Fallback extends EventTarget {
  // `seen()` returns the number of the last delta that is shown.
  constructor(run, seen) {
    super();
    this.run = run;
    this.seen = seen;
    this.closed = false;
  }

  start() {
    this.say("way", { transport: "sse", words: gettext("server-sent events") });
    this.source = new EventSource(`/api/ws-chat/${this.run}/events/?after=${this.seen()}`);
    this.silence = setTimeout(() => this.poll(), PATIENCE);
    this.source.addEventListener("heartbeat", () => clearTimeout(this.silence));
    this.source.addEventListener("message", (event) => {
      clearTimeout(this.silence);
      this.pass(JSON.parse(event.data));
    });
    // It would try again by itself, but not where it is refused, and for ever.
    this.source.addEventListener("error", () => this.poll());
  }

  async poll() {
    clearTimeout(this.silence);
    this.source.close();
    const backoff = new Backoff(500, 5000);
    while (!this.closed) {
      this.say("way", { transport: "held", words: gettext("polling") });
      try {
        const response = await fetch(`/api/ws-chat/${this.run}/frames/?after=${this.seen()}&wait=${HOLD}`);
        const body = await response.json();
        if (this.closed) return;
        if (response.ok) {
          backoff.reset();
          for (const frame of body.frames) this.pass(frame);
          continue;
        }
        if (response.status === 404) return this.pass({ type: "error", run: this.run, ...body.error });
      } catch {
        // Nothing can be reached: perhaps in a moment.
      }
      await pause(backoff.take());
    }
  }

  pass(frame) {
    if (this.closed) return;
    if (frame.type === "end" || frame.type === "error") this.close();
    this.say("frame", frame);
  }

  close() {
    this.closed = true;
    clearTimeout(this.silence);
    this.source?.close();
  }

  say(name, detail) {
    if (!this.closed || name === "frame") this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
