// Access log files: made here, because workers may lack the right to, and owned by the user that workers become.

import { chownSync, closeSync, openSync } from "node:fs";
import type { LoadedConfig } from "../config/load.ts";
import { ConfigError } from "../config/problems.ts";
import type { WorkerUser } from "../ipc/messages.ts";

const LOG_MODE = 0o640;

/** Makes every access log that does not exist. Throws ConfigError naming each that cannot be made. */
export function createLogFiles(loaded: LoadedConfig, user: WorkerUser | undefined): void {
  const problems = loaded.config.vhosts.flatMap((vhost, index) => {
    const path = vhost["access-log"];
    const failure = path === undefined ? undefined : createLogFile(path, user);
    if (failure === undefined) return [];
    return [
      loaded.place({
        vhost: index,
        path: "access-log",
        message: `Cannot open "${path}": ${failure}`,
      }),
    ];
  });
  if (problems.length > 0) throw new ConfigError(problems);
}

/** Returns the error code, undefined when the file is there. */
function createLogFile(path: string, user: WorkerUser | undefined): string | undefined {
  try {
    closeSync(openSync(path, "a", LOG_MODE));
    if (user && process.getuid?.() === 0) chownSync(path, user.uid, user.gid);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}
