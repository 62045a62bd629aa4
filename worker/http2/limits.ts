// What one HTTP/2 connection may ask of a worker. Each limit has a name; what goes beyond ends in a refused stream or a GOAWAY
// that says which it was.

import type { RequestLimits } from "../limits.ts";
import { FIELD_OVERHEAD } from "./field.ts";

/** Of one connection. Bytes and counts; a rate is what may be had at once, and how much of it comes back in a second. */
export type Http2Limits = {
  /** Streams at the same time, as SETTINGS_MAX_CONCURRENT_STREAMS says; more are refused. */
  readonly concurrentStreams: number;
  /** Decoded fields of one request with 32 bytes for each (RFC 9113 6.5.2); beyond that the answer is 431. */
  readonly headerListBytes: number;
  /** Encoded fields of one request in all its frames; beyond that the connection ends. */
  readonly headerBlockBytes: number;
  /** Frames that one block of fields may come in. */
  readonly continuations: number;
  /** Unread bytes of one request's body. */
  readonly streamWindowBytes: number;
  /** Unread bytes of all bodies of a connection. */
  readonly connectionWindowBytes: number;
  /** Answers that may wait to be written; above this no further piece of a body is asked for. */
  readonly outputBytes: number;
  /** Replies to frames (acknowledgements, resets) that may wait behind that; above this nothing more is read. */
  readonly replyBytes: number;
  /** Streams the client cancelled before their answer was complete (CVE-2023-44487), and streams too many. */
  readonly cancels: Rate;
  /** Streams reset because of what the client sent (CVE-2025-8671), and fields too many. */
  readonly faults: Rate;
  readonly settings: Rate;
  readonly pings: Rate;
  /** Frames that cost work and bring nothing: empty DATA, WINDOW_UPDATE, PRIORITY, unknown ones. */
  readonly chatter: Rate;
};

export type Rate = { readonly burst: number; readonly perSec: number };

const DEFAULTS: Omit<Http2Limits, "headerListBytes" | "headerBlockBytes"> = {
  concurrentStreams: 100,
  continuations: 64,
  streamWindowBytes: 256 * 1024,
  connectionWindowBytes: 1024 * 1024,
  outputBytes: 128 * 1024,
  replyBytes: 256 * 1024,
  cancels: { burst: 800, perSec: 50 },
  faults: { burst: 50, perSec: 5 },
  settings: { burst: 100, perSec: 5 },
  pings: { burst: 1_000, perSec: 50 },
  chatter: { burst: 5_000, perSec: 1_000 },
};

/** With those that requests have in HTTP/1.1 too. */
export function limitsFor({ maxHeaderBytes, maxHeaderFields }: RequestLimits): Http2Limits {
  const headerListBytes = maxHeaderBytes + maxHeaderFields * FIELD_OVERHEAD;
  // Room for what is refused with a status instead of the end of the connection.
  return { ...DEFAULTS, headerListBytes, headerBlockBytes: 2 * headerListBytes };
}

/** What is left of a rate. */
export class Allowance {
  readonly #rate: Rate;
  #left: number;
  #at = performance.now();

  constructor(rate: Rate) {
    this.#rate = rate;
    this.#left = rate.burst;
  }

  /** Takes one; false when there is none left. */
  take(): boolean {
    if (this.#left < 1) {
      const now = performance.now();
      const earned = ((now - this.#at) / 1000) * this.#rate.perSec;
      if (earned < 1) return false;
      this.#at = now;
      this.earn(earned);
    }
    this.#left -= 1;
    return true;
  }

  /** Useful work gives some back. */
  earn(count: number): void {
    this.#left = Math.min(this.#rate.burst, this.#left + count);
  }
}
