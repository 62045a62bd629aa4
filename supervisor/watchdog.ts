// Finds workers that say nothing: an endless loop in a plugin, a SIGSTOP. They are killed; their generation replaces them.

import type { WorkerProcess } from "./worker-process.ts";

const TICK_MS = 500;
/** A tick this late means that we slept ourselves (suspended, stopped): nobody is blamed for that time. */
const LATE_TICK_MS = 2_000;

export type Watchdog = { stop(): void };

/** Kills each of `workers()` that was silent for longer than `limitMs(worker)`. */
export function createWatchdog(options: {
  readonly workers: () => Iterable<WorkerProcess>;
  readonly limitMs: (worker: WorkerProcess) => number;
  readonly onSilent: (worker: WorkerProcess, silentMs: number) => void;
}): Watchdog {
  let lastTickAt = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    const wasAsleep = now - lastTickAt > TICK_MS + LATE_TICK_MS;
    lastTickAt = now;
    for (const worker of options.workers()) {
      if (wasAsleep) worker.lastHeardAt = now;
      const silentMs = now - worker.lastHeardAt;
      // Before it is ready a worker is bounded by ready-secs instead.
      if (worker.state !== "starting" && silentMs > options.limitMs(worker))
        options.onSilent(worker, silentMs);
    }
  }, TICK_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
