// Access log files: made here, because workers may lack the right to, and owned by the user that workers become.

import { closeSync, constants, existsSync, fchownSync, openSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { LoadedConfig } from "../config/load.ts";
import { ConfigError } from "../config/problems.ts";
import type { WorkerUser } from "../ipc/messages.ts";
import { DetourError, openTrustedDirectory } from "./trusted-directory.ts";

const LOG_MODE = 0o640;
const DESCRIPTORS = "/proc/self/fd";
const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;

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

/** Between two attempts that workers ask for; a directory that is gone may be so for long. */
const MEND_MS = 10_000;

/** Passes on that files were removed under the workers: at once, but not more often than that, whatever workers say. */
export function createLogMender(
  mend: () => void,
  now: () => number = () => performance.now(),
): () => void {
  let mendedAt = -Infinity;
  return () => {
    if (now() - mendedAt < MEND_MS) return;
    mendedAt = now();
    mend();
  };
}

/**
 * Returns the error code, undefined when the file is there. What exists is left as it is, whatever it is: in a directory
 * that workers may write to, a name can be a link to anything, and a FIFO would make us wait.
 */
function createLogFile(path: string, user: WorkerUser | undefined): string | undefined {
  const isRoot = user !== undefined && process.getuid?.() === 0;
  let directory: number | undefined;
  let fd: number;
  try {
    // What we may write to is more than what others may: the way there must not be theirs to choose.
    if (isRoot && existsSync(DESCRIPTORS)) directory = openTrustedDirectory(dirname(path));
    const name = directory === undefined ? path : `${DESCRIPTORS}/${directory}/${basename(path)}`;
    fd = openSync(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, LOG_MODE);
  } catch (error) {
    // What is there already is made by nobody.
    if (error instanceof DetourError) return existsSync(path) ? undefined : error.message;
    const { code } = error as NodeJS.ErrnoException;
    return code === "EEXIST" ? undefined : code;
  } finally {
    if (directory !== undefined) closeSync(directory);
  }
  try {
    if (isRoot) fchownSync(fd, user.uid, user.gid);
    return undefined;
  } finally {
    closeSync(fd);
  }
}
