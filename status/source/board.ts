// What the protocol "lws-server-status" sends, as far as this page reads it: lws's own fields, which are strings, and
// under "portico" the supervisor's board. The page is a client like any other, so it has a description of its own.

export type VhostCounters = {
  readonly rx: number;
  readonly tx: number;
  readonly connections: number;
  readonly requests: number;
  readonly upgrades: number;
  readonly rejected: number;
  readonly aborted: number;
  readonly status1xx: number;
  readonly status2xx: number;
  readonly status3xx: number;
  readonly status4xx: number;
  readonly status5xx: number;
  /** Requests by how long they took, one bucket more than there are bounds. */
  readonly latency: readonly number[];
};

export type Worker = {
  readonly id: number;
  readonly generation: number;
  readonly pid: number;
  readonly state: string;
  readonly uptimeSecs: number;
  readonly cpuPercent: number;
  readonly memoryBytes: number;
  readonly gauges: {
    readonly openConnections: number;
    readonly openWebSockets: number;
    readonly activeRequests: number;
    readonly cgiAlive: number;
    readonly loopLagMs: number;
    readonly loopUtilization: number;
  };
};

export type Mount = {
  readonly mountpoint: string;
  readonly origin: string;
  readonly default: string;
  readonly cacheMaxAge: number;
  readonly cacheReuse: boolean;
  readonly cacheRevalidate: boolean;
  readonly cacheIntermediaries: boolean;
  /** Of a mount whose programs have been asked for. */
  readonly cgi?: {
    readonly alive: number;
    readonly queued: number;
    readonly started: number;
    readonly failed: number;
    readonly timedOut: number;
    readonly refused: number;
    readonly cpuMs: number;
    readonly peakBytes: number;
  };
};

export type Vhost = {
  readonly key: string;
  readonly name: string;
  readonly port: number;
  readonly secure: boolean;
  readonly sts: boolean;
  readonly mounts: readonly Mount[];
  readonly protocols: readonly string[];
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

export type Board = {
  readonly version: string;
  readonly pid: number;
  readonly directory: string;
  /** Milliseconds since the epoch, like `now`. With the pid it tells one run of the server from the next. */
  readonly startedAt: number;
  readonly now: number;
  readonly generation: number;
  readonly restarts: number;
  readonly samplesLost: number;
  readonly listeners: readonly Listener[];
  readonly workers: readonly Worker[];
  readonly vhosts: readonly Vhost[];
  readonly totals: VhostCounters;
  readonly counters: {
    readonly cgiStarted: number;
    readonly cgiFailed: number;
    readonly cgiTimedOut: number;
    readonly refusedFull: number;
    readonly connectionsShed: number;
    readonly clientsTooSlow: number;
    readonly http2Faults: number;
    readonly logLinesDropped: number;
    readonly busPublished: number;
    readonly busDelivered: number;
    readonly busDropped: number;
  };
  readonly latencyBoundsUs: readonly number[];
  readonly lastReload?: Reload | undefined;
};

export type Update = {
  readonly board: Board;
  /** Load averages over 1, 5 and 15 minutes. */
  readonly load: readonly string[];
  /** Descriptors a worker may open, "0" where the system does not say. */
  readonly maxDescriptors: string;
};

/** One message; undefined when it is not from a Portico. */
export function parseUpdate(text: string): Update | undefined {
  const message: unknown = parseJson(text);
  if (typeof message !== "object" || message === null || !("portico" in message)) return undefined;
  const { portico, l1, l2, l3, pt_fd_max } = message as Record<string, unknown>;
  if (typeof portico !== "object" || portico === null) return undefined;
  return {
    board: portico as Board,
    load: [l1, l2, l3].map(String),
    maxDescriptors: String(pt_fd_max),
  };
}

/** Adds up a number over workers. */
export function sum(workers: readonly Worker[], of: (worker: Worker) => number): number {
  return workers.reduce((total, worker) => total + of(worker), 0);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
