// How long a client is waited for, and how slow it may be: no progress at all is worse than little.

import { Pace } from "../http/pace.ts";

/** One direction of a stream that waits for its client. */
export class Patience {
  readonly #pace: Pace;
  readonly #graceMs: number;
  readonly #progress: () => number;
  #seen: number;
  #stillMs = 0;

  constructor(rate: number, graceMs: number, progress: () => number) {
    this.#pace = new Pace(rate, graceMs, progress);
    this.#graceMs = graceMs;
    this.#progress = progress;
    this.#seen = progress();
  }

  /** The client was waited for during the last `ms`; true when it is over. */
  spend(ms: number): boolean {
    const now = this.#progress();
    this.#stillMs = now === this.#seen ? this.#stillMs + ms : 0;
    this.#seen = now;
    return this.#pace.spend(ms) || this.#stillMs > this.#graceMs;
  }
}
