// How busy the event loop of this process is, and how late it comes to what is due.

import { monitorEventLoopDelay, performance } from "node:perf_hooks";

const RESOLUTION_MS = 20;
/** Below this nobody is watched every 20 ms: that alone wakes an idle process a hundred times a second. */
const IDLE_UTILIZATION = 0.02;
const NS_PER_MS = 1e6;
const US_PER_MS = 1e3;

export type LoopLoad = {
  /** The share of one processor that the loop had since it was last asked, 0 to 1. */
  readonly utilization: number;
  /** How late timers were since then, 99th percentile, ms; of an idle loop only how late this question was. */
  readonly lagMs: number;
};

export type LoopWatch = {
  /** To be asked every `everyMs`, from a timer. */
  take(): LoopLoad;
  stop(): void;
};

/** Begins to watch. */
export function watchLoop(everyMs: number): LoopWatch {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  // Not eventLoopUtilization(): what was idle before a signal comes, as that of a program that ends, it takes for work.
  let last = { us: threadCpuUs(), at: performance.now() };
  return {
    take() {
      const now = { us: threadCpuUs(), at: performance.now() };
      const passedMs = now.at - last.at;
      const utilization = Math.min(1, (now.us - last.us) / US_PER_MS / passedMs);
      last = now;
      // The timer behind the histogram fires every 20 ms when all is well; only what is above that is lag.
      const seenMs = delay.count === 0 ? 0 : delay.percentile(99) / NS_PER_MS - RESOLUTION_MS;
      delay.reset();
      if (utilization < IDLE_UTILIZATION) delay.disable();
      else delay.enable();
      return { utilization, lagMs: Math.max(0, seenMs, passedMs - everyMs) };
    },
    stop: () => void delay.disable(),
  };
}

function threadCpuUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}
