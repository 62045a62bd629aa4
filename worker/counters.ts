// Plain numbers that one worker counts. Nothing here allocates per request.

import {
  emptyCgiCounters,
  emptyLatency,
  emptyVhostCounters,
  emptyWorkerCounters,
  LATENCY_BOUNDS_US,
  type CgiCounters as CgiSums,
  type CgiGauges,
  type MountCounters,
  type VhostCounters,
  type WorkerCounters,
  type WorkerGauges,
} from "../ipc/stats.ts";

/** What a mount of programs counts, and how it stands. */
export type CgiCounters = CgiSums & CgiGauges;

/** How things stand that somebody else keeps count of. */
export type Holdings = Pick<WorkerGauges, "cacheFiles" | "cacheBytes" | "compressedBytes">;

export type Counters = {
  readonly worker: WorkerCounters;
  openConnections: number;
  openTls: number;
  openHttp2: number;
  openWebSockets: number;
  openRaw: number;
  activeRequests: number;
  /** Set by whoever has them. */
  holdings: () => Holdings;
  /** The counters of one vhost, made on first use. */
  vhost(key: string): VhostCounters;
  vhosts(): Iterable<readonly [key: string, counters: VhostCounters]>;
  /** The counters of one mount, made on first use. */
  mount(key: string): MountTally;
  mounts(): Iterable<readonly [key: string, counters: MountTally]>;
  /** The counters of one mount of programs, made on first use. */
  cgi(mount: string): CgiCounters;
  /** What a protocol counts itself, by protocolScope(); made on first use. */
  protocol(scope: string): ProtocolCounts;
  protocols(): Iterable<readonly [scope: string, counts: ProtocolCounts]>;
  /** Those of mounts that were asked for a program. */
  cgiMounts(): [mount: string, counters: CgiCounters][];
};

/** By name, without a prototype. */
export type ProtocolCounts = Record<string, number>;

/** Shared by all mounts that nobody has asked for anything: a site may have ten thousand. */
const NOTHING_TIMED: number[] = [];

/** What one mount has counted. */
export class MountTally implements MountCounters {
  tx = 0;
  requests = 0;
  aborted = 0;
  status2xx = 0;
  status3xx = 0;
  status4xx = 0;
  status5xx = 0;
  latency: number[] = NOTHING_TIMED;

  /** So many requests have ended alike. */
  count(status: number, bytes: number, bucket: number, times: number): void {
    this.requests += times;
    this.tx += bytes * times;
    if (status < 300) this.status2xx += times;
    else if (status < 400) this.status3xx += times;
    else if (status < 500) this.status4xx += times;
    else this.status5xx += times;
    if (this.latency === NOTHING_TIMED) this.latency = emptyLatency();
    this.latency[bucket] = (this.latency[bucket] ?? 0) + times;
  }
}

/** Fresh counters for one worker. */
export function createCounters(): Counters {
  const cgi = new Map<string, CgiCounters>();
  const vhosts = new Map<string, VhostCounters>();
  const mounts = new Map<string, MountTally>();
  const protocols = new Map<string, ProtocolCounts>();
  return {
    worker: emptyWorkerCounters(),
    openConnections: 0,
    openTls: 0,
    openHttp2: 0,
    openWebSockets: 0,
    openRaw: 0,
    activeRequests: 0,
    holdings: () => ({ cacheFiles: 0, cacheBytes: 0, compressedBytes: 0 }),
    vhost(key) {
      let counters = vhosts.get(key);
      if (!counters) vhosts.set(key, (counters = emptyVhostCounters()));
      return counters;
    },
    vhosts: () => vhosts,
    mount(key) {
      let tally = mounts.get(key);
      if (!tally) mounts.set(key, (tally = new MountTally()));
      return tally;
    },
    mounts: () => mounts,
    cgi(mount) {
      let counters = cgi.get(mount);
      if (!counters) cgi.set(mount, (counters = emptyCgi()));
      return counters;
    },
    protocol(scope) {
      let counts = protocols.get(scope);
      if (!counts) protocols.set(scope, (counts = Object.create(null) as ProtocolCounts));
      return counts;
    },
    protocols: () => protocols,
    cgiMounts: () => [...cgi].filter(([, counters]) => Object.values(counters).some(Boolean)),
  };
}

/** Nothing counted, nothing running. */
export function emptyCgi(): CgiCounters {
  return { ...emptyCgiCounters(), alive: 0, queued: 0 };
}

/** The part of the latency histogram that a time belongs to. */
export function latencyBucket(microseconds: number): number {
  let bucket = 0;
  while (bucket < LATENCY_BOUNDS_US.length && microseconds > (LATENCY_BOUNDS_US[bucket] ?? 0))
    bucket += 1;
  return bucket;
}

/** Counts the status of answers in its class. */
export function countStatus(counters: VhostCounters, status: number, times: number): void {
  if (status < 200) counters.status1xx += times;
  else if (status < 300) counters.status2xx += times;
  else if (status < 400) counters.status3xx += times;
  else if (status < 500) counters.status4xx += times;
  else counters.status5xx += times;
}

/** Counts why a request was rejected: as its answer says. */
export function countRejection(counters: WorkerCounters, status: number, times: number): void {
  switch (status) {
    case 400:
    case 421:
      counters.rejectedMalformed += times;
      return;
    case 408:
      counters.rejectedTooSlow += times;
      return;
    case 413:
    case 414:
    case 431:
      counters.rejectedTooLarge += times;
      return;
    case 503:
      counters.rejectedFull += times;
      return;
    default:
      counters.rejectedUnsupported += times;
  }
}
