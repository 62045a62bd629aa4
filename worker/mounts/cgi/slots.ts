// How many programs of one mount run at once: so many places, then a short queue, then 503.

import { HttpError } from "../../http/exchange.ts";
import type { CgiLimits } from "./limits.ts";

type Limits = Pick<CgiLimits, "maxRunning" | "maxWaiting" | "maxWaitMs" | "retryAfterSecs">;
type SlotCounters = { refused: number; queued: number };
type Waiter = { readonly enter: () => void; readonly refuse: () => void };

/** The places of one mount. */
export class Slots {
  readonly #limits: Limits;
  readonly #counters: SlotCounters;
  readonly #waiting = new Set<Waiter>();
  #running = 0;
  #state: "open" | "closed" = "open";

  /** `counters` hears who waits, and who is sent away. */
  constructor(limits: Limits, counters: SlotCounters) {
    this.#limits = limits;
    this.#counters = counters;
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  /** Takes a place, first come first served. Undefined when `gone` aborts first; rejects with HttpError 503. */
  async enter(gone: AbortSignal): Promise<Disposable | undefined> {
    if (gone.aborted) return undefined;
    if (this.isClosed) throw this.refusal();
    if (this.#running < this.#limits.maxRunning) return this.#take();
    if (this.#waiting.size >= this.#limits.maxWaiting) throw this.refusal();
    return await this.#wait(gone);
  }

  /** Refuses everybody who waits, and all who come. */
  close(): void {
    this.#state = "closed";
    for (const waiter of this.#waiting) waiter.refuse();
  }

  /** What a client is told when there is no place. */
  refusal(cause?: unknown): HttpError {
    this.#counters.refused += 1;
    const headers = [["Retry-After", String(this.#limits.retryAfterSecs)]] as const;
    return new HttpError(503, "Too many programs are running", { headers, cause });
  }

  #wait(gone: AbortSignal): Promise<Disposable | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<Disposable | undefined>();
    // Whoever takes the waiter off the queue decides, so a place is never given to one who has left.
    const once = (decide: () => void) => () => {
      if (!this.#waiting.delete(waiter)) return;
      this.#counters.queued -= 1;
      clearTimeout(timer);
      gone.removeEventListener("abort", leave);
      decide();
    };
    const refuse = once(() => reject(this.refusal()));
    const leave = once(() => resolve(undefined));
    const waiter: Waiter = { enter: once(() => resolve(this.#take())), refuse };
    const timer = setTimeout(refuse, this.#limits.maxWaitMs);
    gone.addEventListener("abort", leave);
    this.#waiting.add(waiter);
    this.#counters.queued += 1;
    return promise;
  }

  #take(): Disposable {
    this.#running += 1;
    return {
      [Symbol.dispose]: () => {
        this.#running -= 1;
        const [next] = this.#waiting;
        next?.enter();
      },
    };
  }
}
