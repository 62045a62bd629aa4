// Boards for tests.

import type { Board, BoardMount, BoardWorker } from "../../ipc/board.ts";
import {
  emptyGauges,
  emptyLatency,
  emptyVhostCounters,
  emptyWorkerCounters,
  LATENCY_BOUNDS_US,
  type VhostCounters,
} from "../../ipc/stats.ts";

export const STARTED_AT = 1_700_000_000_000;

export type BoardChanges = {
  /** Seconds since the server started. */
  readonly at: number;
  readonly totals?: Partial<VhostCounters>;
  readonly latency?: readonly number[];
  readonly workers?: readonly BoardWorker[];
  readonly vhostRequests?: number;
  readonly pid?: number;
};

/** A board of one vhost, "a.test:80". */
export function board(changes: BoardChanges): Board {
  const { at, totals, latency, workers = [], vhostRequests = 0, pid = 1 } = changes;
  return {
    version: "1.2.3",
    pid,
    directory: "/etc/portico",
    startedAt: STARTED_AT,
    now: STARTED_AT + at * 1000,
    generation: 1,
    restarts: 0,
    deaths: [],
    generations: [],
    samplesLost: 0,
    listeners: [],
    workers,
    vhosts: [
      {
        key: "a.test:80",
        name: "a.test",
        port: 80,
        secure: false,
        sts: false,
        mounts: [],
        protocols: [],
        counters: { ...emptyVhostCounters(), requests: vhostRequests },
      },
    ],
    totals: { ...emptyVhostCounters(), latency: [...(latency ?? emptyLatency())], ...totals },
    counters: emptyWorkerCounters(),
    recent: [],
    latencyBoundsUs: LATENCY_BOUNDS_US,
    lastReload: undefined,
  };
}

/** A worker with so many connections. */
export function worker(openConnections: number, openWebSockets: number): BoardWorker {
  return {
    id: 1,
    slot: 0,
    generation: 1,
    pid: 2,
    state: "serving",
    uptimeSecs: 1,
    cpuPercent: 10,
    memoryBytes: 1_000,
    counters: emptyVhostCounters(),
    gauges: { ...emptyGauges(), openConnections, openWebSockets },
  };
}

/** A mount at "/" that nobody has asked for anything. */
export const MOUNT: BoardMount = {
  mountpoint: "/",
  origin: "file:///srv/www",
  default: "",
  cacheMaxAge: 0,
  cacheReuse: false,
  cacheRevalidate: false,
  cacheIntermediaries: false,
};
