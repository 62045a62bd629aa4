// How long a connection may take over what, and how slow a client may be.

import type { GlobalConfig } from "../../config/server.ts";

/** Waits of a connection, ms, and rates, bytes per second; a rate of 0 is not asked for. */
export type Clocks = {
  /** From the first byte of a request, or the start of the connection, to the end of its head. Absolute. */
  readonly headerMs: number;
  /** Without any progress while a client owes a body. */
  readonly progressMs: number;
  readonly minBodyRate: number;
  /** Without any progress while a client does not take the answer. */
  readonly sendMs: number;
  readonly minSendRate: number;
  /** For a client to read the last answer and close its side, as long as it goes on sending. */
  readonly lingerMs: number;
  /** How often all of them are looked at. */
  readonly sweepMs: number;
};

/** What must be given; `progressMs` is `headerMs` by default, `sendMs` is `progressMs`. */
export type ClockOptions = Pick<Clocks, "headerMs"> & Partial<Clocks>;

const LINGER_MS = 30_000;
const SWEEP_MS = 1_000;
const MIN_RATE = 500;
const MS_PER_SEC = 1_000;

export function completeClocks(options: ClockOptions): Clocks {
  const { headerMs, progressMs = headerMs } = options;
  return {
    progressMs,
    minBodyRate: MIN_RATE,
    sendMs: progressMs,
    minSendRate: MIN_RATE,
    lingerMs: LINGER_MS,
    sweepMs: SWEEP_MS,
    ...options,
  };
}

/** As the configuration sets them. */
export function configuredClocks(global: GlobalConfig): Clocks {
  const timeoutSecs = global["timeout-secs"];
  return completeClocks({
    headerMs: (global["header-secs"] ?? timeoutSecs) * MS_PER_SEC,
    progressMs: timeoutSecs * MS_PER_SEC,
    minBodyRate: global["min-body-rate"],
    sendMs: global["send-secs"] * MS_PER_SEC,
    minSendRate: global["min-send-rate"],
  });
}
