// Beside the conversation: past ones, and what can be queried. On a narrow screen both are closed until they are wanted.

import { part } from "./conversation.js";
import { Sample } from "./data-agent-sample.js";
import { gettext, interpolate } from "./words.js";

export class Aside {
  constructor(root) {
    this.root = root;
    this.list = part(root, "sessions");
    this.older = part(root, "older");
    this.page = 1;
    this.older.addEventListener("click", () => this.load());
    for (const toggle of root.querySelectorAll("[data-opens]")) {
      toggle.addEventListener("click", () => this.toggle(toggle));
    }
    for (const sample of root.querySelectorAll('[data-part="sample"]')) new Sample(sample);
  }

  // One at a time: they would push the conversation far down.
  toggle(toggle) {
    for (const other of this.root.querySelectorAll("[data-opens]")) {
      const open = other === toggle && other.getAttribute("aria-expanded") === "false";
      other.setAttribute("aria-expanded", String(open));
      document.getElementById(other.dataset.opens).classList.toggle("open", open);
    }
  }

  // A conversation that has just begun.
  add(session, title) {
    const item = entry(`/data-agent/${session}/`, title, gettext("Just now"));
    item.querySelector("a").setAttribute("aria-current", "page");
    this.list.prepend(item);
    part(this.root, "no-sessions")?.remove();
  }

  async load() {
    const { url } = document.getElementById("conversations").dataset;
    try {
      const answer = await fetch(`${url}?page=${this.page + 1}`);
      const { sessions, more } = await answer.json();
      this.page += 1;
      const items = sessions.map((session) => entry(session.url, session.title, when(session)));
      this.list.append(...items);
      items[0]?.querySelector("a").focus();
      this.older.hidden = !more;
    } catch {
      this.older.textContent = gettext("They cannot be fetched right now. Try again");
    }
  }
}

function when({ when: moment, mine, owner }) {
  return mine ? moment : [moment, interpolate(gettext("shared by %(owner)s"), { owner })].join(" · ");
}

function entry(url, title, words) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = url;
  link.textContent = title;
  const moment = document.createElement("span");
  moment.className = "when";
  moment.textContent = words;
  item.append(link, moment);
  return item;
}
