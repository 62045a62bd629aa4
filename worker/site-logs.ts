// The access logs of a site, one file for all vhosts that name it: one buffer, so that lines stay whole and in order.

import { accessSync, constants } from "node:fs";
import { dirname } from "node:path";
import { vhostKey } from "../config/listeners.ts";
import type { VhostConfig } from "../config/vhost.ts";
import { createAppendFile, type AppendFile } from "../log/append-file.ts";
import type { Logger } from "../log/logger.ts";
import { createStreamLog, standardStream } from "../log/stream-log.ts";
import { createAccessLog } from "./access-log.ts";
import type { Counters } from "./counters.ts";
import { createReports } from "./reports.ts";
import type { SiteVhost } from "./site-vhost.ts";

export type SiteLogsOptions = {
  /** Nothing is written: the configuration is only looked at. */
  readonly isProbe: boolean;
  readonly counters: Counters;
  readonly log: Logger;
  /** Asks for log files that are gone. */
  readonly askForLogs: () => void;
};

export type SiteLogs = {
  /** The log of a vhost, undefined where it has none; `refuse` hears why one cannot be opened. */
  open(vhost: VhostConfig, refuse: (path: string, message: string) => void): SiteVhost["accessLog"];
  /** Opens all files again; returns what failed. */
  reopen(): string[];
  /** Writes out what waits. */
  close(): Promise<void>;
};

/** No file is open yet. */
export function createSiteLogs(options: SiteLogsOptions): SiteLogs {
  const files = new Map<string, AppendFile>();
  return {
    open(vhost, refuse) {
      const path = vhost["access-log"];
      if (path === undefined) return undefined;
      try {
        if (options.isProbe) {
          // The supervisor would have made the file; all that is left to ask is whether this user gets to it.
          accessSync(dirname(path), constants.X_OK);
          return undefined;
        }
        const file = files.get(path) ?? openFile(path, options);
        files.set(path, file);
        const format = vhost["access-log-format"];
        return createAccessLog(file, { format, vhost: vhostKey(vhost) });
      } catch (error) {
        refuse("access-log", `Cannot open "${path}": ${(error as NodeJS.ErrnoException).code}`);
        return undefined;
      }
    },
    reopen: () =>
      [...files].flatMap(([path, file]) => {
        try {
          file.reopen();
          return [];
        } catch (error) {
          return [`Cannot reopen "${path}": ${(error as NodeJS.ErrnoException).code}`];
        }
      }),
    async close() {
      await Promise.all([...files.values()].map((file) => file.close()));
    },
  };
}

/** A disk that is full costs log lines, said once and counted, never requests. */
function openFile(path: string, { log, counters, askForLogs }: SiteLogsOptions): AppendFile {
  // No warning: between a renaming and its "reopen" this is how things are, and the supervisor complains if it cannot help.
  const reports = createReports((message) => log.info(message));
  const onFailure = (error: Error): void =>
    log.error({ err: error }, `Cannot write to "${path}": lines will be lost`);
  const onDrop = (lines: number): void => void (counters.worker.logLinesDropped += lines);
  const stream = standardStream(path);
  if (stream !== undefined) return createStreamLog(stream, { onFailure, onDrop });
  return createAppendFile(path, {
    onFailure,
    onDrop,
    onLost(error) {
      reports.say(
        "lost",
        `"${path}" is not the log file any more, and a new one fails: ${error.message}`,
      );
      // The supervisor may make files where this user may not.
      askForLogs();
    },
  });
}
