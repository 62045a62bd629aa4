// What the protocol "lws-server-status" tells, as far as this page reads it: under "portico" the supervisor's board. The page is
// a client like any other, so it has a description of its own.

export type MountCounters = {
  readonly tx: number;
  readonly requests: number;
  readonly aborted: number;
  readonly status2xx: number;
  readonly status3xx: number;
  readonly status4xx: number;
  readonly status5xx: number;
  /** Requests by how long they took, one bucket more than there are bounds. */
  readonly latency: readonly number[];
};

export type VhostCounters = MountCounters & {
  readonly rx: number;
  readonly connections: number;
  readonly upgrades: number;
  readonly rejected: number;
  readonly status1xx: number;
};

export type Worker = {
  readonly id: number;
  readonly generation: number;
  readonly pid: number;
  readonly state: string;
  readonly uptimeSecs: number;
  readonly cpuPercent: number;
  readonly memoryBytes: number;
  /** Of one that finishes what it has, milliseconds since the epoch. */
  readonly endsAt?: number;
  readonly counters: VhostCounters;
  readonly gauges: {
    readonly openConnections: number;
    readonly openTls: number;
    readonly openHttp2: number;
    readonly openWebSockets: number;
    readonly openRaw: number;
    readonly activeRequests: number;
    readonly cgiAlive: number;
    readonly heapBytes: number;
    readonly loopLagMs: number;
    readonly loopUtilization: number;
    readonly cacheFiles: number;
    readonly cacheBytes: number;
    readonly compressedBytes: number;
  };
};

export type Generation = {
  readonly number: number;
  readonly state: string;
  readonly startedAt: number;
  readonly endsAt?: number;
  readonly counters: VhostCounters;
};

export type Programs = {
  readonly alive: number;
  readonly queued: number;
  readonly started: number;
  readonly failed: number;
  readonly timedOut: number;
  readonly refused: number;
  readonly cpuMs: number;
  readonly peakBytes: number;
};

export type Mount = {
  readonly mountpoint: string;
  readonly origin: string;
  readonly default: string;
  readonly cacheMaxAge: number;
  readonly cacheReuse: boolean;
  readonly cacheRevalidate: boolean;
  readonly cacheIntermediaries: boolean;
  /** Of a mount that was asked for anything. */
  readonly counters?: MountCounters | undefined;
  /** Of a mount whose programs have been asked for. */
  readonly cgi?: Programs | undefined;
};

export type Certificate = {
  readonly expiresAt: number;
  readonly daysLeft: number;
  /** Why what the files hold now is not used. */
  readonly problem?: string | undefined;
};

export type Vhost = {
  readonly key: string;
  readonly name: string;
  readonly port: number;
  readonly secure: boolean;
  readonly sts: boolean;
  readonly certificate?: Certificate | undefined;
  readonly mounts: readonly Mount[];
  readonly protocols: readonly string[];
  /** What protocols have counted themselves, by protocol and name. */
  readonly protocolCounts?: Readonly<Record<string, Readonly<Record<string, number>>>> | undefined;
  readonly counters: VhostCounters;
};

export type Listener = {
  readonly address: string;
  readonly secure: boolean;
  readonly vhosts: readonly string[];
  readonly state: string;
};

export type Reload = {
  readonly at: number;
  readonly outcome: string;
  readonly generation: number;
  readonly message: string;
  readonly problems: readonly string[];
};

export type Death = {
  readonly at: number;
  readonly worker: number;
  readonly pid: number;
  readonly why: string;
};

/** What happened since the start, beside what is counted for vhosts. */
export type Counters = Readonly<
  Record<
    | "connectionsAccepted"
    | "http2Connections"
    | "rawConnections"
    | "tlsHandshakes"
    | "tlsResumed"
    | "tlsFailed"
    | "refusedFull"
    | "refusedAddress"
    | "refusedProxy"
    | "connectionsShed"
    | "clientsTooSlow"
    | "http2Faults"
    | "http2Cancels"
    | "http2Chatter"
    | "http2Fields"
    | "http2Pieces"
    | "http2Pings"
    | "http2Settings"
    | "http2StreamFaults"
    | "rejectedMalformed"
    | "rejectedTooLarge"
    | "rejectedTooSlow"
    | "rejectedUpgrade"
    | "rejectedUnsupported"
    | "rejectedFull"
    | "deniedByRule"
    | "deniedByPassword"
    | "cgiStarted"
    | "cgiFailed"
    | "cgiTimedOut"
    | "cacheHits"
    | "cacheMisses"
    | "cacheLoads"
    | "cacheEvicted"
    | "compressedFiles"
    | "compressedFromBytes"
    | "compressedToBytes"
    | "compressSkipped"
    | "logLinesDropped"
    | "busPublished"
    | "busDelivered"
    | "busDropped"
    | "wsDropped"
    | "wsTooSlow",
    number
  >
>;

export type Board = {
  readonly version: string;
  readonly pid: number;
  readonly directory: string;
  /** Milliseconds since the epoch, like `now`. With the pid it tells one run of the server from the next. */
  readonly startedAt: number;
  readonly now: number;
  readonly generation: number;
  readonly restarts: number;
  /** The last of them, newest first. */
  readonly deaths: readonly Death[];
  readonly samplesLost: number;
  readonly listeners: readonly Listener[];
  readonly generations: readonly Generation[];
  readonly workers: readonly Worker[];
  readonly vhosts: readonly Vhost[];
  readonly totals: VhostCounters;
  readonly counters: Counters;
  readonly latencyBoundsUs: readonly number[];
  readonly lastReload?: Reload | undefined;
  /** The bus between this machine and others. */
  readonly nats?:
    | {
        readonly address: string;
        readonly isUp: boolean;
        readonly sent: number;
        readonly received: number;
      }
    | undefined;
};

/** Adds up a number over workers. */
export function sum(workers: readonly Worker[], of: (worker: Worker) => number): number {
  return workers.reduce((total, worker) => total + of(worker), 0);
}

/** Whether two boards are of one run of the server. */
export function isSameRun(one: Board, other: Board): boolean {
  return one.pid === other.pid && one.startedAt === other.startedAt;
}
