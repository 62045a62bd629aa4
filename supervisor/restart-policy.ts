// When to start a worker again after it died. Pure: the caller keeps the clock and the timer.

const FIRST_DELAY_MS = 50;
const MAX_DELAY_MS = 5_000;
/** A worker that lived this long was healthy: its slot starts from the first delay again. */
const HEALTHY_MS = 60_000;

/** Delay before the next start of a slot, milliseconds. */
export function nextRestart(previousDelayMs: number | undefined, livedMs: number): number {
  if (previousDelayMs === undefined || livedMs >= HEALTHY_MS) return FIRST_DELAY_MS;
  return Math.min(previousDelayMs * 2, MAX_DELAY_MS);
}
