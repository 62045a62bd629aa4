// Plain numbers that one worker counts. Nothing here allocates per request.

import {
  emptyCgiCounters,
  emptyVhostCounters,
  emptyWorkerCounters,
  LATENCY_BOUNDS_US,
  type CgiCounters as CgiSums,
  type CgiGauges,
  type VhostCounters,
  type WorkerCounters,
} from "../ipc/stats.ts";

/** What a mount of programs counts, and how it stands. */
export type CgiCounters = CgiSums & CgiGauges;

export type Counters = {
  readonly worker: WorkerCounters;
  readonly latency: number[];
  openConnections: number;
  openWebSockets: number;
  activeRequests: number;
  /** The counters of one vhost, made on first use. */
  vhost(key: string): VhostCounters;
  /** Those that have counted anything: a thousand idle vhosts are not sent every second. */
  vhosts(): Record<string, VhostCounters>;
  /** The counters of one mount of programs, made on first use. */
  cgi(mount: string): CgiCounters;
  /** Those of mounts that were asked for a program. */
  cgiMounts(): [mount: string, counters: CgiCounters][];
};

/** Fresh counters for one worker. */
export function createCounters(): Counters {
  const byMount = new Map<string, CgiCounters>();
  const byVhost = new Map<string, VhostCounters>();
  return {
    worker: emptyWorkerCounters(),
    latency: Array.from({ length: LATENCY_BOUNDS_US.length + 1 }, () => 0),
    openConnections: 0,
    openWebSockets: 0,
    activeRequests: 0,
    vhost(key) {
      let counters = byVhost.get(key);
      if (!counters) byVhost.set(key, (counters = emptyVhostCounters()));
      return counters;
    },
    cgi(mount) {
      let counters = byMount.get(mount);
      if (!counters) byMount.set(mount, (counters = emptyCgi()));
      return counters;
    },
    cgiMounts: () => [...byMount].filter(([, counters]) => hasCounted(counters)),
    vhosts: () => Object.fromEntries([...byVhost].filter(([, counters]) => hasCounted(counters))),
  };
}

/** Nothing counted, nothing running. */
export function emptyCgi(): CgiCounters {
  return { ...emptyCgiCounters(), alive: 0, queued: 0 };
}

function hasCounted(counters: VhostCounters | CgiCounters): boolean {
  return Object.values(counters).some((count) => count > 0);
}

/** Counts the time of answers in its bucket. */
export function countLatency(latency: number[], microseconds: number, times: number): void {
  let bucket = 0;
  while (bucket < LATENCY_BOUNDS_US.length && microseconds > (LATENCY_BOUNDS_US[bucket] ?? 0))
    bucket += 1;
  latency[bucket] = (latency[bucket] ?? 0) + times;
}

/** Counts the status of answers in its class. */
export function countStatus(counters: VhostCounters, status: number, times: number): void {
  if (status < 200) counters.status1xx += times;
  else if (status < 300) counters.status2xx += times;
  else if (status < 400) counters.status3xx += times;
  else if (status < 500) counters.status4xx += times;
  else counters.status5xx += times;
}
