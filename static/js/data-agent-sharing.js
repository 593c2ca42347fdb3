// Who else may read the conversation: the owner lets people in by name, and can take that back.

import { part } from "./conversation.js";
import { gettext, interpolate } from "./words.js";

export class Sharing {
  // `send(frame)` returns whether there is a connection.
  constructor(root, send) {
    this.root = root;
    this.send = send;
    this.button = part(root, "share");
    this.form = part(root, "sharing");
    this.button.addEventListener("click", () => this.setOpen(this.form.hidden));
    part(root, "sharing-close").addEventListener("click", () => this.setOpen(false));
    this.form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.setOpen(false);
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const person = this.form.elements.person.value.trim();
      if (person) this.ask("share", person);
    });
  }

  // A conversation is shown.
  open({ session, mine, owner, sharedWith }) {
    this.button.hidden = !session || !mine;
    const by = part(this.root, "shared-by");
    by.hidden = mine;
    const shared = gettext("%(owner)s shares this conversation with you. You can read it; to ask, begin one of your own.");
    by.textContent = mine ? "" : interpolate(shared, { owner });
    this.show(sharedWith);
  }

  show(people) {
    this.waiting = false;
    this.trouble("");
    this.form.elements.person.value = "";
    part(this.root, "people").replaceChildren(...people.map((person) => this.person(person)));
    part(this.root, "sharing-words").textContent = people.length
      ? gettext("These people can read this conversation with its results:")
      : gettext("Nobody else can read this conversation.");
    this.button.textContent = people.length
      ? interpolate(gettext("Shared with %(count)s"), { count: people.length })
      : gettext("Share");
  }

  person(name) {
    const item = document.createElement("li");
    const words = document.createElement("span");
    words.textContent = name;
    const stop = document.createElement("button");
    stop.type = "button";
    stop.className = "button quiet small";
    stop.textContent = gettext("Stop sharing");
    stop.setAttribute("aria-label", interpolate(gettext("Stop sharing with %(name)s"), { name }));
    stop.addEventListener("click", () => {
      this.form.elements.person.focus();
      this.ask("unshare", name);
    });
    item.append(words, stop);
    return item;
  }

  ask(type, person) {
    this.trouble("");
    this.waiting = this.send({ type, person });
    if (!this.waiting) this.trouble(gettext("There is no connection right now. Please try again in a moment."));
  }

  // Returns whether the trouble was about sharing.
  complain(sentence) {
    if (!this.waiting) return false;
    this.waiting = false;
    this.trouble(sentence);
    return true;
  }

  trouble(sentence) {
    const trouble = part(this.root, "sharing-trouble");
    trouble.textContent = sentence;
    trouble.hidden = sentence === "";
  }

  setOpen(open) {
    this.form.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    (open ? this.form.elements.person : this.button).focus();
  }
}
