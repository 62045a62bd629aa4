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

/** Counts and logs one request that has ended; requests that ended together may share the look at the clock. */
export function settle(counters: Counters, outcome: Outcome, endedAt = performance.now()): void {
  const { vhost, mark } = outcome;
  vhost.counters.requests += 1;
  countStatus(vhost.counters, outcome.status);
  if (mark === "aborted") vhost.counters.aborted += 1;
  else if (mark === "rejected") vhost.counters.rejected += 1;
  else if (mark === "upgraded") vhost.counters.upgrades += 1;
  const durationMs = endedAt - outcome.startedAt;
  countLatency(counters.latency, durationMs * 1000);
  counters.worker.durationUs += Math.round(durationMs * 1000);
  vhost.accessLog?.log(outcome, durationMs);
}
