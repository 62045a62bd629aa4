// Once a second: a sign of life, and what was counted so far. A sample that cannot be sent now is left out, not queued:
// the next one holds everything it held. Vhosts, mounts and protocols that counted nothing since they were last sent are left out too.

import { getHeapStatistics } from "node:v8";
import type { MountCounters, Sample, VhostCounters } from "../ipc/stats.ts";
import type { WorkerChannel } from "./bus.ts";
import type { CgiCounters, Counters, ProtocolCounts } from "./counters.ts";
import { watchLoop } from "./loop-watch.ts";

const INTERVAL_MS = 1_000;
/** Vhosts and mounts in one message; each takes some 500 bytes, and a frame holds no more than 8 MiB. */
const MAX_ENTRIES = 4_000;

export type Sampler = {
  /** Sends the last sample and ends. */
  finish(): void;
};

/** Samples `counters` into `channel` until finish(). */
export function createSampler(channel: WorkerChannel, counters: Counters): Sampler {
  const loop = watchLoop(INTERVAL_MS);
  const changedVhosts = createChangeFilter<VhostCounters>(
    ({ rx, tx, connections, requests, rejected, aborted }) =>
      rx + tx + connections + requests + rejected + aborted,
  );
  const changedMounts = createChangeFilter<MountCounters>(
    ({ requests, tx, aborted }) => requests + tx + aborted,
  );

  const changedProtocols = createChangeFilter<ProtocolCounts>((counts) =>
    Object.values(counts).reduce((sum, value) => sum + value, 0),
  );

  function takeGauges(cgiAlive: number): Sample["gauges"] {
    const { utilization, lagMs } = loop.take();
    return {
      openConnections: counters.openConnections,
      openTls: counters.openTls,
      openHttp2: counters.openHttp2,
      openWebSockets: counters.openWebSockets,
      openRaw: counters.openRaw,
      activeRequests: counters.activeRequests,
      cgiAlive,
      // process.memoryUsage() opens a file, and there may be no descriptor left.
      heapBytes: getHeapStatistics().used_heap_size,
      loopLagMs: Math.round(lagMs * 10) / 10,
      loopUtilization: Math.round(utilization * 1000) / 1000,
      ...counters.holdings(),
    };
  }

  function send(isLast: boolean): void {
    const cgi = counters.cgiMounts();
    const sum = (name: keyof CgiCounters): number =>
      cgi.reduce((total, [, mount]) => total + mount[name], 0);
    const common = {
      counters: {
        ...counters.worker,
        cgiStarted: sum("started"),
        cgiFailed: sum("failed"),
        cgiTimedOut: sum("timedOut"),
      },
      cgi: Object.fromEntries(
        cgi.map(([mount, { alive: _alive, queued: _queued, ...sums }]) => [mount, sums]),
      ),
      cgiGauges: Object.fromEntries(
        cgi.map(([mount, { alive, queued }]) => [mount, { alive, queued }]),
      ),
      gauges: takeGauges(sum("alive")),
    };
    const vhosts = changedVhosts(counters.vhosts());
    const mounts = changedMounts(counters.mounts());
    const protocols = changedProtocols(counters.protocols());
    do {
      const part = {
        ...common,
        vhosts: Object.fromEntries(vhosts.splice(0, MAX_ENTRIES)),
        mounts: Object.fromEntries(mounts.splice(0, MAX_ENTRIES)),
        protocols: Object.fromEntries(protocols.splice(0, MAX_ENTRIES)),
      };
      const isAll = vhosts.length + mounts.length + protocols.length === 0;
      channel.send("sample", { sample: part, last: isLast && isAll });
    } while (vhosts.length + mounts.length + protocols.length > 0);
  }

  channel.send("heartbeat", {});
  const timer = setInterval(() => {
    channel.send("heartbeat", {});
    if (!channel.congested) send(false);
  }, INTERVAL_MS);

  return {
    finish() {
      clearInterval(timer);
      loop.stop();
      send(true);
    },
  };
}

/** Picks those that have grown since it last picked them; `weigh` grows whenever any of their counters does. */
function createChangeFilter<C extends object>(
  weigh: (counters: C) => number,
): (all: Iterable<readonly [key: string, counters: C]>) => [key: string, counters: C][] {
  const weights = new Map<string, number>();
  return (all) => {
    const changed: [string, C][] = [];
    for (const [key, counters] of all) {
      const weight = weigh(counters);
      if (weight === (weights.get(key) ?? 0)) continue;
      weights.set(key, weight);
      // Plain ones, whatever they are made of here.
      changed.push([key, { ...counters }]);
    }
    return changed;
  };
}
