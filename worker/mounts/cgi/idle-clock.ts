// Tells when no byte has moved for a while. Touching it costs one clock reading, no timer.

/** setTimeout takes no more than 31 bits. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Runs until it has expired or is stopped; stands still while `isPaused` says so. */
export class IdleClock {
  readonly #idleMs: number;
  readonly #isPaused: () => boolean;
  readonly #expired: () => void;
  #touchedAt = performance.now();
  #timer: NodeJS.Timeout;

  constructor(idleMs: number, isPaused: () => boolean, expired: () => void) {
    this.#idleMs = Math.min(idleMs, MAX_TIMER_MS);
    this.#isPaused = isPaused;
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
    if (this.#isPaused()) this.touch();
    const leftMs = this.#touchedAt + this.#idleMs - performance.now();
    if (leftMs <= 0) this.#expired();
    else this.#timer = setTimeout(() => this.#look(), Math.ceil(leftMs));
  }
}
