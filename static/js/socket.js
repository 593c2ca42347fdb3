// A WebSocket that comes back: reconnects with growing pauses, and notices a connection that died in silence.

import { Backoff } from "./pause.js";

const PING = 25_000; // milliseconds between signs of life
const SILENCE = 10_000; // milliseconds for an answer to one
const GONE = 1006;
const OUR_FIRST_CODE = 4000; // the server's own close codes: trying again would end the same way

// Events: "open", "frame" (detail: the frame), "lost" (detail: {final, code}).
export class Socket extends EventTarget {
  constructor(path) {
    super();
    this.url = new URL(path, location.href);
    this.url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.backoff = new Backoff(500, 15_000);
    window.addEventListener("online", () => this.connect());
    this.connect();
  }

  get connected() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  send(frame) {
    if (this.connected) this.socket.send(JSON.stringify(frame));
    return this.connected;
  }

  connect() {
    clearTimeout(this.retry);
    if (this.socket) return;
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.addEventListener("message", (event) => {
      if (socket === this.socket) this.receive(JSON.parse(event.data));
    });
    socket.addEventListener("open", () => {
      this.backoff.reset();
      this.heart = setInterval(() => this.ping(socket), PING);
      this.dispatchEvent(new Event("open"));
    });
    socket.addEventListener("close", (event) => this.lose(socket, event.code));
  }

  receive(frame) {
    clearTimeout(this.silence);
    if (frame.type !== "pong") this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
  }

  ping(socket) {
    socket.send(JSON.stringify({ type: "ping" }));
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      // Closing waits for the other side, which may be gone: the connection counts as lost at once.
      socket.close();
      this.lose(socket, GONE);
    }, SILENCE);
  }

  lose(socket, code) {
    if (socket !== this.socket) return;
    this.socket = null;
    clearInterval(this.heart);
    clearTimeout(this.silence);
    const final = code >= OUR_FIRST_CODE;
    if (!final) this.retry = setTimeout(() => this.connect(), this.backoff.take());
    this.dispatchEvent(new CustomEvent("lost", { detail: { final, code } }));
  }
}
