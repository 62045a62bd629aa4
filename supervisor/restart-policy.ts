// When to start a worker again after it died, and how long one may take to leave. Pure: the caller keeps the clock and the timer.

import type { ServerConfig } from "../config/server.ts";

const FIRST_DELAY_MS = 50;
const MAX_DELAY_MS = 5_000;
/** A worker that lived this long was healthy: its slot starts from the first delay again. */
const HEALTHY_MS = 60_000;
const MS_PER_SEC = 1_000;
/** Beyond its own limits a worker gets this long before it is killed. */
export const KILL_GRACE_MS = 2_000;
/** Time over which a draining worker spreads the end of its WebSockets, see worker/drain.ts. */
const DRAIN_SPREAD_MS = 10_000;

/** After this long a draining worker has cut what it did not finish, milliseconds. */
export function drainMs({ global, vhosts }: ServerConfig): number {
  const longestSecs = vhosts.reduce(
    (longest, vhost) => Math.max(longest, vhost["drain-secs"] ?? 0),
    global["drain-secs"],
  );
  return longestSecs * MS_PER_SEC + DRAIN_SPREAD_MS;
}

/** After this long a draining worker is killed, milliseconds. */
export function drainLimitMs(config: ServerConfig): number {
  return drainMs(config) + KILL_GRACE_MS;
}

/** Delay before the next start of a slot, milliseconds. */
export function nextRestart(previousDelayMs: number | undefined, livedMs: number): number {
  if (previousDelayMs === undefined || livedMs >= HEALTHY_MS) return FIRST_DELAY_MS;
  return Math.min(previousDelayMs * 2, MAX_DELAY_MS);
}
