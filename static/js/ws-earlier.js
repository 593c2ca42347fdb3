// Brings the earlier turns of the conversation, page by page, when they are asked for.

import { part } from "./conversation.js";
import { gettext, interpolate, ngettext, number } from "./words.js";

export class Earlier {
  // `fill(exchange, item)` completes each exchange that is added.
  constructor(panel, conversation, fill) {
    this.root = part(panel, "earlier");
    this.button = this.root.querySelector("button");
    this.conversation = conversation;
    this.fill = fill;
    this.before = this.root.dataset.before;
    this.button.addEventListener("click", () => this.load());
  }

  async load() {
    const before = this.before;
    this.button.disabled = true;
    try {
      const response = await fetch(`/api/ws-chat/history/?before=${before}`);
      if (!response.ok) throw new Error(response.statusText);
      const page = await response.json();
      // Forgotten meanwhile.
      if (this.before !== before) return;
      this.conversation.changeAbove(() => {
        this.conversation.prepend(page.exchanges, this.fill);
        this.set(page.next ?? "");
      });
      const count = page.exchanges.length;
      const words = ngettext("%(count)s earlier message.", "%(count)s earlier messages.", count);
      this.conversation.announce(interpolate(words, { count: number(count) }));
    } catch {
      this.conversation.announce(gettext("The earlier messages cannot be reached right now. Please try again in a moment."));
    } finally {
      this.button.disabled = false;
    }
  }

  forget() {
    this.set("");
  }

  set(before) {
    this.before = before;
    this.root.hidden = before === "";
  }
}
