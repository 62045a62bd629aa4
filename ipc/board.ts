// The whole server at one moment: what `portico status --json` prints, plugins see, and the status page draws.

import {
  LATENCY_BUCKETS,
  type CgiCounters,
  type CgiGauges,
  type MountCounters,
  type VhostCounters,
  type WorkerCounters,
  type WorkerGauges,
} from "./stats.ts";

export type WorkerState = "starting" | "ready" | "serving" | "draining" | "stopping" | "gone";
export type GenerationState = WorkerState;

export type BoardWorker = {
  readonly id: number;
  readonly slot: number;
  readonly generation: number;
  readonly pid: number;
  readonly state: WorkerState;
  readonly uptimeSecs: number;
  readonly cpuPercent: number;
  readonly memoryBytes: number;
  /** Of one that finishes what it has: when what is left then is cut, milliseconds since the epoch. */
  readonly endsAt?: number;
  /** Over all vhosts, since it started. */
  readonly counters: VhostCounters;
  readonly gauges: WorkerGauges;
};

export type BoardGeneration = {
  readonly number: number;
  readonly state: GenerationState;
  readonly startedAt: number;
  /** As of its last worker. */
  readonly endsAt?: number;
  /** Over all vhosts and all workers it ever had. */
  readonly counters: VhostCounters;
};

export type BoardCertificate = {
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** Whole days, negative once it has expired. */
  readonly daysLeft: number;
  /** Why what the files hold now is not used. */
  readonly problem: string | undefined;
};

export type BoardMount = {
  readonly mountpoint: string;
  readonly origin: string;
  readonly default: string;
  readonly cacheMaxAge: number;
  readonly cacheReuse: boolean;
  readonly cacheRevalidate: boolean;
  readonly cacheIntermediaries: boolean;
  /** Of a mount that was asked for anything. */
  readonly counters?: MountCounters;
  /** Of a mount whose programs have been asked for. */
  readonly cgi?: CgiCounters & CgiGauges;
};

export type BoardVhost = {
  readonly key: string;
  readonly name: string;
  readonly port: number;
  readonly secure: boolean;
  readonly sts: boolean;
  /** Absent without TLS. */
  readonly certificate?: BoardCertificate;
  readonly mounts: readonly BoardMount[];
  readonly protocols: readonly string[];
  /** What protocols have counted themselves, by protocol and name; absent where none has. */
  readonly protocolCounts?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly counters: VhostCounters;
};

export type BoardListener = {
  readonly address: string;
  readonly secure: boolean;
  readonly vhosts: readonly string[];
  readonly state: "open" | "waiting";
};

/** The bus between this machine and others. */
export type BoardNats = {
  /** Host and port of the server. */
  readonly address: string;
  readonly isUp: boolean;
  /** Messages since the server was first named. */
  readonly sent: number;
  readonly received: number;
};

export type BoardReload = {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly outcome: "ok" | "failed";
  readonly generation: number;
  readonly message: string;
  readonly problems: readonly string[];
};

/** A worker that died, or left on its own account, and was replaced. */
export type BoardDeath = {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly worker: number;
  readonly slot: number;
  readonly pid: number;
  readonly why: string;
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

/** Counters of a moment in the history, over all vhosts and since the server started, as VhostCounters has them. */
export const HISTORY_COUNTERS = [
  "requests",
  "status1xx",
  "status2xx",
  "status3xx",
  "status4xx",
  "status5xx",
  "rx",
  "tx",
] as const satisfies readonly (keyof VhostCounters)[];

/** How things stood at that moment, over all workers; of loopLagMs the greatest. */
export const HISTORY_GAUGES = [
  "openConnections",
  "openWebSockets",
  "activeRequests",
  "cpuPercent",
  "memoryBytes",
  "loopLagMs",
] as const;

export type HistoryGauges = Record<(typeof HISTORY_GAUGES)[number], number>;

/** Numbers of a row: when that was in milliseconds since the epoch, HISTORY_COUNTERS, a latency, HISTORY_GAUGES. */
export const HISTORY_COLUMNS =
  1 + HISTORY_COUNTERS.length + LATENCY_BUCKETS + HISTORY_GAUGES.length;

/** What was before now: ten minutes by second, a day by minute, the oldest first. The difference of any two rows is exact. */
export type BoardHistory = {
  readonly seconds: readonly (readonly number[])[];
  readonly minutes: readonly (readonly number[])[];
};

export type Board = {
  readonly version: string;
  readonly pid: number;
  readonly directory: string;
  readonly startedAt: number;
  readonly now: number;
  readonly generation: number;
  readonly restarts: number;
  /** The last of them, newest first. */
  readonly deaths: readonly BoardDeath[];
  readonly samplesLost: number;
  readonly listeners: readonly BoardListener[];
  readonly generations: readonly BoardGeneration[];
  readonly workers: readonly BoardWorker[];
  readonly vhosts: readonly BoardVhost[];
  /** Sum over all vhosts there ever were. */
  readonly totals: VhostCounters;
  readonly counters: WorkerCounters;
  /** The last minute, ten minutes, hour and day, as far as the server is old enough. */
  readonly recent: readonly BoardWindow[];
  /** Upper bounds of every `latency`, whose last bucket has none. */
  readonly latencyBoundsUs: readonly number[];
  readonly lastReload: BoardReload | undefined;
  /** Where "bus" of "global" names a server. */
  readonly nats?: BoardNats | undefined;
};
