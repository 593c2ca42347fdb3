// Tells who does not see the page what is new in it. A growing answer is told in whole sentences, now and then.

const PAUSE = 2000; // milliseconds between two announcements of a growing answer
const SENTENCES = /^[\s\S]*(?:[.!?…:;。！？]["'”’)\]]*(?=\s)|\n)/u;

export class Announcer {
  // `region` is a live region.
  constructor(region) {
    this.region = region;
    this.root = null; // what grows
    this.told = ""; // of it, so far
    this.next = undefined;
  }

  say(words) {
    this.region.textContent = words;
  }

  // What grows is another one, or has begun anew.
  follow(root) {
    this.forget();
    this.root = root;
  }

  grew() {
    this.next ??= setTimeout(() => {
      this.next = undefined;
      this.tell(SENTENCES.exec(this.rest())?.[0] ?? "");
    }, PAUSE);
  }

  // Tells what has not been told of an answer that has ended.
  end(root, note) {
    if (this.root !== root) this.follow(root);
    this.tell([this.rest(), note].filter(Boolean).join(" "));
    this.forget();
  }

  // An answer that turned out otherwise is told from its beginning.
  rest() {
    const text = this.root.innerText;
    if (!text.startsWith(this.told)) this.told = "";
    return text.slice(this.told.length);
  }

  tell(words) {
    this.told += words;
    if (words.trim()) this.say(words.trim());
  }

  forget() {
    clearTimeout(this.next);
    this.next = undefined;
    this.root = null;
    this.told = "";
  }
}
