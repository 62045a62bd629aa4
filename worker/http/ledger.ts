// The one place where a request is counted and logged, so that counters and access log always agree.

import type { Counters } from "../counters.ts";
import { countLatency, countStatus } from "../counters.ts";
import type { SiteVhost } from "../router.ts";
import type { ByteString } from "./exchange.ts";

/** What stands in the log for a client that left before any answer; nginx's number. */
export const CLIENT_LEFT = 499;

/** How one request ended. */
export type Outcome = {
  readonly vhost: SiteVhost;
  readonly remoteAddress: string;
  readonly user?: ByteString | undefined;
  readonly requestLine: ByteString | undefined;
  readonly referer?: ByteString | undefined;
  readonly userAgent?: ByteString | undefined;
  readonly requestId?: string | undefined;
  readonly status: number;
  /** Bytes of the body that were sent. */
  readonly bytes: number;
  /** performance.now() when its head had arrived. */
  readonly startedAt: number;
  /** aborted: cut before the answer was complete. rejected: malformed, or an upgrade that was refused. */
  readonly mark?: "aborted" | "rejected" | "upgraded" | undefined;
};

/** Counts and logs a request that has ended, or several that came and ended together and are alike; others may share the look at the clock. */
export function settle(
  counters: Counters,
  outcome: Outcome,
  endedAt = performance.now(),
  times = 1,
): void {
  const { vhost, mark } = outcome;
  vhost.counters.requests += times;
  countStatus(vhost.counters, outcome.status, times);
  if (mark === "aborted") vhost.counters.aborted += times;
  else if (mark === "rejected") vhost.counters.rejected += times;
  else if (mark === "upgraded") vhost.counters.upgrades += times;
  const durationMs = endedAt - outcome.startedAt;
  countLatency(counters.latency, durationMs * 1000, times);
  counters.worker.durationUs += Math.round(durationMs * 1000) * times;
  vhost.accessLog?.log(outcome, durationMs, times);
}
