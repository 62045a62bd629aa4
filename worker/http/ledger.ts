// The one place where a request is counted and logged, so that counters and access log always agree.

import { performance } from "node:perf_hooks";
import {
  countRejection,
  countStatus,
  latencyBucket,
  type Counters,
  type MountTally,
} from "../counters.ts";
import type { SiteVhost } from "../router.ts";
import type { ByteString } from "./exchange.ts";

/** What stands in the log for a client that left before any answer; nginx's number. */
export const CLIENT_LEFT = 499;

/** How one request ended. */
export type Outcome = {
  readonly vhost: SiteVhost;
  /** Of the mount that the request was for, if it was for one. */
  readonly tally?: MountTally | undefined;
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
  /** aborted: cut before the answer was complete. rejected: malformed, or beyond a limit. refused: an upgrade that was not granted. */
  readonly mark?: "aborted" | "rejected" | "refused" | "upgraded" | undefined;
};

/** Counts and logs a request that has ended, or several that came and ended together and are alike; others may share the look at the clock. */
export function settle(
  counters: Counters,
  outcome: Outcome,
  endedAt = performance.now(),
  times = 1,
): void {
  const { vhost, tally, mark, status } = outcome;
  const { counters: ofVhost } = vhost;
  const durationMs = endedAt - outcome.startedAt;
  const durationUs = Math.round(durationMs * 1000);
  const bucket = latencyBucket(durationUs);
  ofVhost.requests += times;
  ofVhost.latency[bucket] = (ofVhost.latency[bucket] ?? 0) + times;
  countStatus(ofVhost, status, times);
  if (tally) tally.count(status, outcome.bytes, bucket, times);
  if (mark) countMark(counters, outcome, times);
  counters.worker.durationUs += durationUs * times;
  vhost.accessLog?.log(outcome, durationMs, times, endedAt);
}

function countMark(
  { worker }: Counters,
  { vhost, tally, mark, status }: Outcome,
  times: number,
): void {
  switch (mark) {
    case "aborted":
      vhost.counters.aborted += times;
      if (tally) tally.aborted += times;
      return;
    case "rejected":
      vhost.counters.rejected += times;
      countRejection(worker, status, times);
      return;
    case "refused":
      vhost.counters.rejected += times;
      worker.rejectedUpgrade += times;
      return;
    default:
      vhost.counters.upgrades += times;
  }
}
