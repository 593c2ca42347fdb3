// A WebSocket that comes back: reconnects with growing pauses, at once when the network or the person is back, and
// notices a connection that died in silence.

import { Backoff } from "./pause.js";

const PING = 25_000; // milliseconds between signs of life
const SILENCE = 10_000; // milliseconds for an answer to one, and for a connection to be made
const DOUBT = 3_000; // milliseconds for an answer where there is reason to doubt
const GONE = 1006;
const IDLE = 3008; // nobody used the connection for long: it is made again when somebody does
const OUR_FIRST_CODE = 4000; // the server's own close codes: trying again would end the same way

// Events: "open", "frame" (detail: the frame), "lost" (detail: {final, code}).
export class Socket extends EventTarget {
  constructor(path) {
    super();
    this.url = new URL(path, location.href);
    this.url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.backoff = new Backoff(500, 15_000);
    this.final = false;
    this.paused = false;
    for (const event of ["online", "pageshow"]) window.addEventListener(event, () => this.wake());
    // A server on this machine can be reached without a network, too.
    window.addEventListener("offline", () => this.doubt());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.wake();
    });
    this.connect();
  }

  get connected() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  send(frame) {
    if (this.connected) this.socket.send(JSON.stringify(frame));
    return this.connected;
  }

  // No more waiting. A connection that seems to be open may have died while the machine slept.
  wake() {
    if (this.final) return;
    if (this.connected) return this.doubt();
    this.backoff.reset();
    this.connect();
  }

  doubt() {
    if (this.connected) this.ping(this.socket, DOUBT);
  }

  connect() {
    clearTimeout(this.retry);
    if (this.socket) return;
    this.paused = false;
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.expect(socket, SILENCE);
    socket.addEventListener("message", (event) => {
      if (socket === this.socket) this.receive(JSON.parse(event.data));
    });
    socket.addEventListener("open", () => {
      if (socket !== this.socket) return;
      clearTimeout(this.silence);
      this.heart = setInterval(() => this.ping(socket, SILENCE), PING);
      this.dispatchEvent(new Event("open"));
    });
    socket.addEventListener("close", (event) => this.lose(socket, event.code));
  }

  receive(frame) {
    clearTimeout(this.silence);
    // Not before: who accepts connections only to drop them is not to be asked without pause.
    this.backoff.reset();
    if (frame.type !== "pong") this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
  }

  ping(socket, patience) {
    socket.send(JSON.stringify({ type: "ping" }));
    this.expect(socket, patience);
  }

  // Without a sign of life within these milliseconds the connection counts as lost.
  expect(socket, patience) {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      // Closing waits for the other side, which may be gone: the connection is given up at once.
      socket.close();
      this.lose(socket, GONE);
    }, patience);
  }

  // As if the network had gone for a moment.
  drop() {
    const { socket } = this;
    if (!socket) return;
    socket.close();
    this.lose(socket, GONE);
  }

  // For good.
  close() {
    const { socket } = this;
    if (socket) {
      socket.close();
      this.lose(socket, OUR_FIRST_CODE);
    }
    clearTimeout(this.retry);
    this.final = true;
  }

  lose(socket, code) {
    if (socket !== this.socket) return;
    this.socket = null;
    clearInterval(this.heart);
    clearTimeout(this.silence);
    this.final = code >= OUR_FIRST_CODE;
    this.paused = code === IDLE;
    if (!this.final && !this.paused) this.retry = setTimeout(() => this.connect(), this.backoff.take());
    this.dispatchEvent(new CustomEvent("lost", { detail: { final: this.final, code } }));
  }
}
