// Answers that are put out and not taken by the kernel yet, in batches of one write. Answers to one read that are alike are kept, and in
// the end counted and logged, as one that happened several times.

import type { Counters } from "../counters.ts";
import { settle, type Outcome } from "../http/ledger.ts";
import type { Output, Waiter } from "./output.ts";

/** How some answers of a batch ended. */
export type Ending = { readonly batch: Batch; readonly outcome: Outcome; times: number };

type Batch = Waiter & { readonly endings: Ending[] };

export class Unsettled {
  readonly #output: Output;
  readonly #counters: Counters;
  readonly #batches = new Set<Batch>();
  #batch: Batch | undefined;

  constructor(output: Output, counters: Counters) {
    this.#output = output;
    this.#counters = counters;
  }

  get isEmpty(): boolean {
    return this.#batches.size === 0;
  }

  /** One more. What is returned may be repeated as long as it is the same answer. */
  add(outcome: Outcome): Ending {
    const batch = (this.#batch ??= this.#begin());
    const ending = { batch, outcome, times: 1 };
    batch.endings.push(ending);
    this.#counters.activeRequests += 1;
    return ending;
  }

  /** One more like that; false where that belongs to another write. */
  repeat(ending: Ending): boolean {
    if (ending.batch !== this.#batch) return false;
    ending.times += 1;
    this.#counters.activeRequests += 1;
    return true;
  }

  /** What follows belongs to another write. */
  divide(): void {
    this.#batch = undefined;
  }

  /** The connection is gone. */
  lose(): void {
    for (const batch of this.#batches) this.#settle(batch, "aborted");
  }

  #begin(): Batch {
    const batch: Batch = { endings: [], taken: () => this.#settle(batch) };
    this.#batches.add(batch);
    this.#output.whenTaken(batch);
    return batch;
  }

  #settle(batch: Batch, mark?: "aborted"): void {
    this.#batches.delete(batch);
    if (batch === this.#batch) this.#batch = undefined;
    const endedAt = performance.now();
    for (const { outcome, times } of batch.endings) {
      this.#counters.activeRequests -= times;
      settle(this.#counters, mark ? { ...outcome, mark } : outcome, endedAt, times);
    }
  }
}
