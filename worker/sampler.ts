// Once a second: a sign of life, and what was counted so far. A sample that cannot be sent now is left out, not queued:
// the next one holds everything it held.

import { getHeapStatistics } from "node:v8";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import type { Sample } from "../ipc/stats.ts";
import type { WorkerChannel } from "./bus.ts";
import type { CgiCounters, Counters } from "./counters.ts";

const INTERVAL_MS = 1_000;
const DELAY_RESOLUTION_MS = 20;
const NS_PER_MS = 1e6;

export type Sampler = {
  /** Sends the last sample and ends. */
  finish(): void;
};

/** Samples `counters` into `channel` until finish(). */
export function createSampler(channel: WorkerChannel, counters: Counters): Sampler {
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();
  let utilization = performance.eventLoopUtilization();

  function take(): Sample {
    const now = performance.eventLoopUtilization();
    const since = performance.eventLoopUtilization(now, utilization);
    utilization = now;
    // The timer behind the histogram fires every 20 ms when all is well; only what is above that is lag.
    const lagMs =
      delay.count === 0 ? 0 : Math.max(0, delay.percentile(99) / NS_PER_MS - DELAY_RESOLUTION_MS);
    delay.reset();
    const cgi = counters.cgiMounts();
    const sum = (name: keyof CgiCounters): number =>
      cgi.reduce((total, [, mount]) => total + mount[name], 0);
    return {
      vhosts: counters.vhosts(),
      counters: {
        ...counters.worker,
        cgiStarted: sum("started"),
        cgiFailed: sum("failed"),
        cgiTimedOut: sum("timedOut"),
      },
      latency: counters.latency,
      cgi: Object.fromEntries(
        cgi.map(([mount, { alive: _alive, queued: _queued, ...sums }]) => [mount, sums]),
      ),
      cgiGauges: Object.fromEntries(
        cgi.map(([mount, { alive, queued }]) => [mount, { alive, queued }]),
      ),
      gauges: {
        openConnections: counters.openConnections,
        openWebSockets: counters.openWebSockets,
        activeRequests: counters.activeRequests,
        cgiAlive: sum("alive"),
        // process.memoryUsage() opens a file, and there may be no descriptor left.
        heapBytes: getHeapStatistics().used_heap_size,
        loopLagMs: Math.round(lagMs * 10) / 10,
        loopUtilization: Math.round(since.utilization * 1000) / 1000,
      },
    };
  }

  channel.send("heartbeat", {});
  const timer = setInterval(() => {
    channel.send("heartbeat", {});
    if (!channel.congested) channel.send("sample", { sample: take(), last: false });
  }, INTERVAL_MS);

  return {
    finish() {
      clearInterval(timer);
      delay.disable();
      channel.send("sample", { sample: take(), last: true });
    },
  };
}
