// Every bound of a CGI mount that no key of the configuration sets.

export type CgiLimits = {
  /** Programs running at once, per mount and worker. */
  readonly maxRunning: number;
  /** Requests waiting for one of those places. */
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
  /** What a client is told to wait when there is no place. */
  readonly retryAfterSecs: number;
  /** A request body of unknown length is held in memory up to here, then in a file. */
  readonly spoolMemoryBytes: number;
  /** The longest such body. */
  readonly spoolBytes: number;
  /** All such bodies of one mount in files together. */
  readonly spoolTotalBytes: number;
  /** How long the output of a program may lie in its pipe, in the hope that the program ends: then it is answered at once. */
  readonly briefMs: number;
  /** Between SIGTERM and SIGKILL. */
  readonly killGraceMs: number;
  /** How long the end of an answer waits for the exit status behind the end of the output. */
  readonly exitGraceMs: number;
  /** How long the program of a client that has closed its sending side may be silent: it may have left altogether. */
  readonly halfClosedMs: number;
  /** What one request may log of its program's stderr. */
  readonly stderrBytes: number;
  readonly stderrLines: number;
  readonly stderrLineBytes: number;
};

export const cgiLimits: CgiLimits = {
  maxRunning: 128,
  maxWaiting: 128,
  maxWaitMs: 10_000,
  retryAfterSecs: 5,
  spoolMemoryBytes: 256 * 1024,
  spoolBytes: 512 * 1024 * 1024,
  spoolTotalBytes: 1024 * 1024 * 1024,
  briefMs: 10,
  killGraceMs: 1_000,
  exitGraceMs: 250,
  halfClosedMs: 500,
  stderrBytes: 64 * 1024,
  stderrLines: 500,
  stderrLineBytes: 4 * 1024,
};
