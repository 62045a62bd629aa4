// Shapes of statistics: what a worker counts, how samples add up. Counters are cumulative since the worker started, so a lost
// sample loses nothing; gauges are how things stand now. What everyone is shown is in board.ts.

import { array, number, object, record, type Infer } from "../config/shape.ts";

/** Upper bounds of the latency histogram in microseconds; one more bucket holds the rest. */
export const LATENCY_BOUNDS_US: readonly number[] = [
  100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
  5_000_000,
];

/** Requests by LATENCY_BOUNDS_US. */
export const LATENCY_BUCKETS = LATENCY_BOUNDS_US.length + 1;

const count = () => number().min(0);
const latency = () => array(count()).length(LATENCY_BUCKETS);

/** Counters of one vhost. rx and tx are bytes on the connection, headers included. */
export const vhostCounters = object({
  rx: count(),
  tx: count(),
  connections: count(),
  requests: count(),
  upgrades: count(),
  rejected: count(),
  aborted: count(),
  status1xx: count(),
  status2xx: count(),
  status3xx: count(),
  status4xx: count(),
  status5xx: count(),
  latency: latency(),
});

/** Counters of one mount. tx is bytes of bodies, as in the access log. */
export const mountCounters = object({
  tx: count(),
  requests: count(),
  aborted: count(),
  status2xx: count(),
  status3xx: count(),
  status4xx: count(),
  status5xx: count(),
  latency: latency(),
});

/** Counters of one worker beside those of its vhosts. */
export const workerCounters = object({
  /** Connections by what they turned out to be; the rest spoke HTTP/1.1, or nothing. */
  connectionsAccepted: count(),
  http2Connections: count(),
  rawConnections: count(),
  tlsHandshakes: count(),
  /** Those of them that went on with an older session. */
  tlsResumed: count(),
  tlsFailed: count(),
  /** Not taken: too many, too many of one address, no PROXY header. */
  refusedFull: count(),
  refusedAddress: count(),
  refusedProxy: count(),
  /** Idle ones closed to make room for others. */
  connectionsShed: count(),
  /** Cut because they sent or took too little in their time. */
  clientsTooSlow: count(),
  /** HTTP/2 connections ended for what their client did. */
  http2Faults: count(),
  /** Of those, the ones that did too much of something that costs work: cancelled streams, and streams too many. */
  http2Cancels: count(),
  /** Frames that bring nothing. */
  http2Chatter: count(),
  /** Fields that were too large, or in too many frames. */
  http2Fields: count(),
  /** Bodies in tiny pieces. */
  http2Pieces: count(),
  http2Pings: count(),
  http2Settings: count(),
  /** Streams that had to be reset for what was on them. */
  http2StreamFaults: count(),
  /** Why requests were rejected; together as many as the vhosts count. */
  rejectedMalformed: count(),
  rejectedTooLarge: count(),
  rejectedTooSlow: count(),
  rejectedUpgrade: count(),
  rejectedUnsupported: count(),
  rejectedFull: count(),
  /** Answered with 403 by a rule, with 401 or 429 for want of the right password. */
  deniedByRule: count(),
  deniedByPassword: count(),
  cgiStarted: count(),
  cgiFailed: count(),
  cgiTimedOut: count(),
  /** Requests for files answered from memory and from disk; files read into memory, and put out to make room. */
  cacheHits: count(),
  cacheMisses: count(),
  cacheLoads: count(),
  cacheEvicted: count(),
  /** Files encoded, their bytes before and after; not encoded, because too many were waiting. */
  compressedFiles: count(),
  compressedFromBytes: count(),
  compressedToBytes: count(),
  compressSkipped: count(),
  logLinesDropped: count(),
  busPublished: count(),
  busDelivered: count(),
  busDropped: count(),
  /** WebSocket messages that a slow peer did not get, and peers closed for being slow. */
  wsDropped: count(),
  wsTooSlow: count(),
  /** Time of all requests together. */
  durationUs: count(),
});

/** What one mount of programs has counted. `peakBytes` is the most that one of them had beyond what the worker has itself, else 0; it grows instead of adding up. */
export const cgiCounters = object({
  started: count(),
  failed: count(),
  timedOut: count(),
  /** Requests that got no place. */
  refused: count(),
  cpuMs: count(),
  peakBytes: count(),
});

/** How one mount of programs stands now. */
export const cgiGauges = object({ alive: count(), queued: count() });

/** How one worker stands now. Bytes, milliseconds. */
export const workerGauges = object({
  /** All of them; the next ones are among these, those in TLS of every kind. */
  openConnections: count(),
  openTls: count(),
  openHttp2: count(),
  openWebSockets: count(),
  openRaw: count(),
  activeRequests: count(),
  cgiAlive: count(),
  heapBytes: count(),
  loopLagMs: count(),
  loopUtilization: count(),
  /** Small files in memory, and results of compression. */
  cacheFiles: count(),
  cacheBytes: count(),
  compressedBytes: count(),
});

/** What a worker sends about once a second; large ones come in parts. */
export const sample = object({
  /** By vhost key, "name:port": those that counted anything since the sample before. */
  vhosts: record(vhostCounters),
  /** By mountKey(), likewise. */
  mounts: record(mountCounters),
  counters: workerCounters,
  /** By mountKey(). */
  cgi: record(cgiCounters),
  cgiGauges: record(cgiGauges),
  gauges: workerGauges,
  /** What protocols count themselves, by protocolScope(): those that counted anything since the sample before. */
  protocols: record(record(count())),
});

/** Counters that one protocol may have on a vhost. */
export const MAX_PROTOCOL_COUNTERS = 32;
/** What such a counter may be called. */
export const PROTOCOL_COUNTER = /^[a-z][a-z0-9_]{0,62}$/;

export type VhostCounters = Infer<typeof vhostCounters>;
export type MountCounters = Infer<typeof mountCounters>;
export type WorkerCounters = Infer<typeof workerCounters>;
export type CgiCounters = Infer<typeof cgiCounters>;
export type CgiGauges = Infer<typeof cgiGauges>;
export type WorkerGauges = Infer<typeof workerGauges>;
export type Sample = Infer<typeof sample>;

/** Under which a mount is counted. */
export function mountKey(vhost: string, mountpoint: string): string {
  return `${vhost} ${mountpoint}`;
}

/** No request has been timed. */
export function emptyLatency(): number[] {
  return Array.from({ length: LATENCY_BUCKETS }, () => 0);
}

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
    latency: emptyLatency(),
  };
}

export function emptyMountCounters(): MountCounters {
  return {
    tx: 0,
    requests: 0,
    aborted: 0,
    status2xx: 0,
    status3xx: 0,
    status4xx: 0,
    status5xx: 0,
    latency: emptyLatency(),
  };
}

export function emptyWorkerCounters(): WorkerCounters {
  return {
    connectionsAccepted: 0,
    http2Connections: 0,
    rawConnections: 0,
    tlsHandshakes: 0,
    tlsResumed: 0,
    tlsFailed: 0,
    refusedFull: 0,
    refusedAddress: 0,
    refusedProxy: 0,
    connectionsShed: 0,
    clientsTooSlow: 0,
    http2Faults: 0,
    http2Cancels: 0,
    http2Chatter: 0,
    http2Fields: 0,
    http2Pieces: 0,
    http2Pings: 0,
    http2Settings: 0,
    http2StreamFaults: 0,
    rejectedMalformed: 0,
    rejectedTooLarge: 0,
    rejectedTooSlow: 0,
    rejectedUpgrade: 0,
    rejectedUnsupported: 0,
    rejectedFull: 0,
    deniedByRule: 0,
    deniedByPassword: 0,
    cgiStarted: 0,
    cgiFailed: 0,
    cgiTimedOut: 0,
    cacheHits: 0,
    cacheMisses: 0,
    cacheLoads: 0,
    cacheEvicted: 0,
    compressedFiles: 0,
    compressedFromBytes: 0,
    compressedToBytes: 0,
    compressSkipped: 0,
    logLinesDropped: 0,
    busPublished: 0,
    busDelivered: 0,
    busDropped: 0,
    wsDropped: 0,
    wsTooSlow: 0,
    durationUs: 0,
  };
}

export function emptyCgiCounters(): CgiCounters {
  return { started: 0, failed: 0, timedOut: 0, refused: 0, cpuMs: 0, peakBytes: 0 };
}

export function emptyGauges(): WorkerGauges {
  return {
    openConnections: 0,
    openTls: 0,
    openHttp2: 0,
    openWebSockets: 0,
    openRaw: 0,
    activeRequests: 0,
    cgiAlive: 0,
    heapBytes: 0,
    loopLagMs: 0,
    loopUtilization: 0,
    cacheFiles: 0,
    cacheBytes: 0,
    compressedBytes: 0,
  };
}

type Numbers = { [name: string]: number | number[] };

/** Adds what `now` has beyond `before` into `into`, member by member; `now` alone where there is no `before`. */
export function addGrowth<C extends Numbers>(into: C, now: C, before?: C): void {
  const sums: Numbers = into;
  for (const [name, value] of Object.entries(now)) {
    const sum = sums[name];
    const old = before?.[name];
    if (typeof value === "number")
      sums[name] = ((sum as number | undefined) ?? 0) + value - ((old as number | undefined) ?? 0);
    else
      for (const [at, part] of value.entries()) {
        const parts = sum as number[];
        parts[at] = (parts[at] ?? 0) + part - ((old as number[] | undefined)?.[at] ?? 0);
      }
  }
}

/** Whether no member is less than it was: counters only grow. */
export function hasGrown<C extends Numbers>(now: C, before: C): boolean {
  return Object.entries(now).every(([name, value]) => {
    const old = before[name];
    if (typeof value === "number") return value >= (old as number);
    return value.every((part, at) => part >= ((old as number[])[at] ?? 0));
  });
}
