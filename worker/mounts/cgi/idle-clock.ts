// Tells when no byte has moved for a while. Touching it costs one clock reading, no timer.

/** setTimeout takes no more than 31 bits. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Runs until it expires or is stopped. `limitMs` is asked at every look: it may grow beyond `idleMs` while somebody else is waited for. */
export class IdleClock {
  readonly #idleMs: number;
  readonly #limitMs: () => number;
  readonly #expired: () => void;
  #touchedAt = performance.now();
  #timer: NodeJS.Timeout;

  constructor(idleMs: number, limitMs: () => number, expired: () => void) {
    this.#idleMs = Math.min(idleMs, MAX_TIMER_MS);
    this.#limitMs = limitMs;
    this.#expired = expired;
    this.#timer = setTimeout(() => this.#look(), this.#idleMs);
  }

  /** A byte has moved. */
  touch(): void {
    this.#touchedAt = performance.now();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #look(): void {
    const leftMs = this.#touchedAt + this.#limitMs() - performance.now();
    if (leftMs <= 0) this.#expired();
    else this.#timer = setTimeout(() => this.#look(), Math.min(Math.ceil(leftMs), this.#idleMs));
  }
}
