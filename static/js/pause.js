// Waiting, and waiting longer each time.

export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

// Doubles from `first` to `longest` milliseconds; random by a quarter, so that many pages do not come back at once.
export class Backoff {
  constructor(first, longest) {
    this.first = first;
    this.longest = longest;
    this.reset();
  }

  reset() {
    this.next = this.first;
  }

  take() {
    const milliseconds = this.next * (0.75 + Math.random() / 2);
    this.next = Math.min(this.longest, this.next * 2);
    return milliseconds;
  }
}
