// When to look again for an answer that nobody tells of: after a quarter of the time that it has taken already. So it
// is never late by more than that, and an answer that takes long costs few requests more than one that is quick.

const FIRST = 250; // milliseconds
const SHARE = 4;
const SHORTEST = 100;
const LONGEST = 3_000;

export class Pace {
  constructor() {
    this.began = performance.now();
  }

  // Returns milliseconds; random by a tenth, so that many pages do not come back at once.
  take() {
    const waited = performance.now() - this.began;
    const milliseconds = Math.max(FIRST - waited, SHORTEST, waited / SHARE);
    return Math.min(LONGEST, milliseconds) * (0.9 + Math.random() / 5);
  }
}
