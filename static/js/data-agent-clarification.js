// Where the model asks the person something before it goes on.

import { part } from "./conversation.js";

export class Clarification {
  // `send(decision)` sends the reply, or that there is none.
  constructor(root, send) {
    this.root = root;
    this.field = part(root, "reply");
    part(root, "skip-reply").addEventListener("click", () => send({ type: "skip" }));
    part(root, "replying").addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.field.value.trim();
      if (text === "") this.field.focus();
      else send({ type: "reply", text });
    });
  }

  show({ state, clarification, reply }, readOnly) {
    part(this.root, "clarification-box").hidden = clarification === "";
    part(this.root, "clarification").textContent = clarification;
    part(this.root, "replying").hidden = state !== "asking" || readOnly;
    part(this.root, "replied").textContent = reply;
    part(this.root, "replied").hidden = reply === "";
  }
}
