// Shapes of statistics: what a worker counts, how samples add up, what everyone is shown.
// Counters are cumulative since the worker started, so a lost sample loses nothing; gauges are how things stand now.

import { array, number, object, record, type Infer } from "../config/shape.ts";

/** Upper bounds of the latency histogram in microseconds; one more bucket holds the rest. */
export const LATENCY_BOUNDS_US: readonly number[] = [
  100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
  5_000_000,
];

/** Counters of one vhost. rx and tx are bytes on the connection, headers included. */
export const vhostCounters = object({
  rx: number(),
  tx: number(),
  connections: number(),
  requests: number(),
  upgrades: number(),
  rejected: number(),
  aborted: number(),
  status1xx: number(),
  status2xx: number(),
  status3xx: number(),
  status4xx: number(),
  status5xx: number(),
});

/** Counters of one worker beside those of its vhosts. */
export const workerCounters = object({
  cgiStarted: number(),
  cgiFailed: number(),
  cgiTimedOut: number(),
  /** Not taken: too many, too many of one address, no PROXY header. */
  connectionsRefused: number(),
  /** Idle ones closed to make room for others. */
  connectionsShed: number(),
  /** Cut because they sent or took too little in their time. */
  clientsTooSlow: number(),
  logLinesDropped: number(),
  busPublished: number(),
  busDelivered: number(),
  busDropped: number(),
  /** WebSocket messages that a slow peer did not get, and peers closed for being slow. */
  wsDropped: number(),
  wsTooSlow: number(),
  /** Time of all requests together. */
  durationUs: number(),
  /** HTTP/2 connections ended for what their client did. */
  http2Faults: number(),
});

/** What one mount of programs has counted. `peakBytes` is the most that one of them had beyond what the worker has itself, else 0; it grows instead of adding up. */
export const cgiCounters = object({
  started: number(),
  failed: number(),
  timedOut: number(),
  /** Requests that got no place. */
  refused: number(),
  cpuMs: number(),
  peakBytes: number(),
});

/** How one mount of programs stands now. */
export const cgiGauges = object({ alive: number(), queued: number() });

/** How one worker stands now. Bytes, milliseconds. */
export const workerGauges = object({
  openConnections: number(),
  openWebSockets: number(),
  activeRequests: number(),
  cgiAlive: number(),
  heapBytes: number(),
  loopLagMs: number(),
  loopUtilization: number(),
});

/** What a worker sends about once a second. */
export const sample = object({
  /** By vhost key, "name:port". */
  vhosts: record(vhostCounters),
  counters: workerCounters,
  /** Requests by LATENCY_BOUNDS_US, one bucket more than bounds. */
  latency: array(number()),
  /** By mountKey(). */
  cgi: record(cgiCounters),
  cgiGauges: record(cgiGauges),
  gauges: workerGauges,
});

export type VhostCounters = Infer<typeof vhostCounters>;
export type WorkerCounters = Infer<typeof workerCounters>;
export type CgiCounters = Infer<typeof cgiCounters>;
export type CgiGauges = Infer<typeof cgiGauges>;
export type WorkerGauges = Infer<typeof workerGauges>;
export type Sample = Infer<typeof sample>;

/** Totals that never go back: the counters of a Sample, without its gauges. */
export type Totals = {
  vhosts: Record<string, VhostCounters>;
  counters: WorkerCounters;
  latency: number[];
  cgi: Record<string, CgiCounters>;
};

/** Under which a mount is counted. */
export function mountKey(vhost: string, mountpoint: string): string {
  return `${vhost} ${mountpoint}`;
}

export type WorkerState = "starting" | "ready" | "serving" | "draining" | "stopping" | "gone";

export type BoardWorker = {
  readonly id: number;
  readonly slot: number;
  readonly generation: number;
  readonly pid: number;
  readonly state: WorkerState;
  readonly uptimeSecs: number;
  readonly cpuPercent: number;
  readonly memoryBytes: number;
  readonly gauges: WorkerGauges;
};

export type BoardCertificate = {
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** Whole days, negative once it has expired. */
  readonly daysLeft: number;
  /** Why what the files hold now is not used. */
  readonly problem: string | undefined;
};

export type BoardVhost = {
  readonly key: string;
  readonly name: string;
  readonly port: number;
  readonly secure: boolean;
  readonly sts: boolean;
  /** Absent without TLS. */
  readonly certificate?: BoardCertificate;
  readonly mounts: readonly {
    readonly mountpoint: string;
    readonly origin: string;
    readonly default: string;
    readonly cacheMaxAge: number;
    readonly cacheReuse: boolean;
    readonly cacheRevalidate: boolean;
    readonly cacheIntermediaries: boolean;
    /** Of a mount whose programs have been asked for. */
    readonly cgi?: CgiCounters & CgiGauges;
  }[];
  readonly protocols: readonly string[];
  readonly counters: VhostCounters;
};

export type BoardReload = {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly outcome: "ok" | "failed";
  readonly generation: number;
  readonly message: string;
  readonly problems: readonly string[];
};

/** What happened within the last so many seconds. Times are microseconds, null where there was no request. */
export type BoardWindow = {
  readonly secs: number;
  /** Less than `secs` while the server is younger. */
  readonly measuredSecs: number;
  readonly requestsPerSec: number;
  readonly status4xxPerSec: number;
  readonly status5xxPerSec: number;
  readonly rxPerSec: number;
  readonly txPerSec: number;
  readonly p50Us: number | null;
  readonly p90Us: number | null;
  readonly p99Us: number | null;
};

/** The whole server at one moment, as `portico status --json` prints it and plugins see it. */
export type Board = {
  readonly version: string;
  readonly pid: number;
  readonly directory: string;
  readonly startedAt: number;
  readonly now: number;
  readonly generation: number;
  readonly restarts: number;
  readonly samplesLost: number;
  readonly listeners: readonly {
    readonly address: string;
    readonly secure: boolean;
    readonly vhosts: readonly string[];
    readonly state: "open" | "waiting";
  }[];
  readonly workers: readonly BoardWorker[];
  readonly vhosts: readonly BoardVhost[];
  /** Sum over all vhosts there ever were. */
  readonly totals: VhostCounters;
  readonly counters: WorkerCounters;
  readonly latency: readonly number[];
  /** The last minute, ten minutes, hour and day, as far as the server is old enough. */
  readonly recent: readonly BoardWindow[];
  /** Upper bounds of `latency`, whose last bucket has none. */
  readonly latencyBoundsUs: readonly number[];
  readonly lastReload: BoardReload | undefined;
};

export function emptyVhostCounters(): VhostCounters {
  return {
    rx: 0,
    tx: 0,
    connections: 0,
    requests: 0,
    upgrades: 0,
    rejected: 0,
    aborted: 0,
    status1xx: 0,
    status2xx: 0,
    status3xx: 0,
    status4xx: 0,
    status5xx: 0,
  };
}

export function emptyWorkerCounters(): WorkerCounters {
  return {
    cgiStarted: 0,
    cgiFailed: 0,
    cgiTimedOut: 0,
    connectionsRefused: 0,
    connectionsShed: 0,
    clientsTooSlow: 0,
    logLinesDropped: 0,
    busPublished: 0,
    busDelivered: 0,
    busDropped: 0,
    durationUs: 0,
    http2Faults: 0,
    wsDropped: 0,
    wsTooSlow: 0,
  };
}

export function emptyCgiCounters(): CgiCounters {
  return { started: 0, failed: 0, timedOut: 0, refused: 0, cpuMs: 0, peakBytes: 0 };
}

export function emptyTotals(): Totals {
  return {
    vhosts: {},
    cgi: {},
    counters: emptyWorkerCounters(),
    latency: Array.from({ length: LATENCY_BOUNDS_US.length + 1 }, () => 0),
  };
}

/** Adds the counters of `from` into `into`, member by member. */
export function addCounters<C extends Record<string, number>>(into: C, from: C): void {
  for (const [name, value] of Object.entries(from))
    (into as Record<string, number>)[name] = (into[name] ?? 0) + value;
}

/** Adds one sample into running totals. */
export function addSample(
  totals: Totals,
  from: Pick<Sample, "vhosts" | "counters" | "latency" | "cgi">,
): void {
  for (const [key, counters] of Object.entries(from.vhosts))
    addCounters((totals.vhosts[key] ??= emptyVhostCounters()), counters);
  addCounters(totals.counters, from.counters);
  for (const [key, counters] of Object.entries(from.cgi)) {
    const into = (totals.cgi[key] ??= emptyCgiCounters());
    const peakBytes = Math.max(into.peakBytes, counters.peakBytes);
    addCounters(into, counters);
    into.peakBytes = peakBytes;
  }
  for (const [bucket, count] of from.latency.entries())
    totals.latency[bucket] = (totals.latency[bucket] ?? 0) + count;
}
