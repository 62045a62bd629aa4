// How long a connection may take over what.

/** Waits of a connection, ms. */
export type Clocks = {
  /** From the first byte of a request, or the start of the connection, to the end of its head. Absolute. */
  readonly headerMs: number;
  /** Without any progress while a client owes a body or does not take the answer. */
  readonly progressMs: number;
  /** For a client to read the last answer and close its side. */
  readonly lingerMs: number;
  /** How often all of them are looked at. */
  readonly sweepMs: number;
};

/** What must be given; `progressMs` is `headerMs` by default. */
export type ClockOptions = Pick<Clocks, "headerMs"> & Partial<Clocks>;

const LINGER_MS = 5_000;
const SWEEP_MS = 1_000;

export function completeClocks(options: ClockOptions): Clocks {
  const { headerMs } = options;
  return { progressMs: headerMs, lingerMs: LINGER_MS, sweepMs: SWEEP_MS, ...options };
}
