// The shape of a whole configuration once it is read: what the supervisor sends to its workers.
// Keys keep the spelling of the files ("drain-secs"), so one search finds a key everywhere.

import type { VhostConfig } from "./vhost.ts";

export type GlobalConfig = {
  readonly uid?: number;
  readonly gid?: number;
  readonly username?: string;
  readonly groupname?: string;
  readonly "count-threads"?: number;
  readonly "server-string"?: string;
  readonly "plugin-dir": readonly string[];
  readonly "timeout-secs": number;
  readonly "drain-secs": number;
  readonly "stop-secs": number;
  readonly "watchdog-secs": number;
  readonly "ready-secs": number;
  readonly "pid-file"?: string;
  readonly "control-socket"?: string;
};

/** Everything one generation of workers runs. Frozen; no functions, so it travels over IPC as it is. */
export type ServerConfig = {
  /** Absolute path of the configuration directory. */
  readonly directory: string;
  /** Absolute paths of the files read, in order. */
  readonly files: readonly string[];
  readonly global: GlobalConfig;
  readonly vhosts: readonly VhostConfig[];
};
