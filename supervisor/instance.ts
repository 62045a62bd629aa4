// One supervisor per configuration directory: where its pid file and control socket are, and the lock that keeps a
// second one out. The lock is flock(2) on the pid file, so it cannot outlive its owner.

import { createHash } from "node:crypto";
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  realpathSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import type { GlobalConfig } from "../config/server.ts";
import { lockFile } from "../posix/lock.ts";
import { makePrivateDirectory, runtimeDirectory } from "../posix/runtime-directory.mjs";

export type InstancePaths = {
  readonly pidFile: string;
  readonly controlSocket: string;
  /** Where commands find the control socket when they cannot read the configuration; the same path by default. */
  readonly knownSocket: string;
};

/** Another supervisor runs this configuration, or the lock cannot be had. */
export class InstanceError extends Error {
  readonly code = "INSTANCE";
}

/** Where the instance of `directory` keeps its pid file and control socket; keys of "global" win. */
export function instancePaths(
  directory: string,
  global: Partial<GlobalConfig> = {},
): InstancePaths {
  const real = resolveDirectory(directory);
  const digest = createHash("sha256").update(real).digest("hex").slice(0, 8);
  const base = join(runtimeDirectory(), `${basename(real)}-${digest}`);
  const pidFile = global["pid-file"] ?? `${base}.pid`;
  const beside =
    global["pid-file"] === undefined ? base : join(dirname(pidFile), basename(pidFile, ".pid"));
  return {
    pidFile,
    controlSocket: global["control-socket"] ?? `${beside}.sock`,
    knownSocket: `${base}.sock`,
  };
}

function resolveDirectory(directory: string): string {
  try {
    return realpathSync(directory);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new InstanceError(`Cannot read "${directory}": ${code}`, { cause });
  }
}

export type InstanceLock = { release(): void };

/** Takes the lock and writes the pid. Throws InstanceError, naming the pid of the other, when it is taken. */
export async function lockInstance(pidFile: string): Promise<InstanceLock> {
  if (!makePrivateDirectory(dirname(pidFile)))
    throw new InstanceError(
      `"${dirname(pidFile)}" belongs to another user; set "pid-file" and "control-socket"`,
    );
  let fd = openPidFile(pidFile);
  let locked = await lockFile(fd);
  // Its owner may have removed it between the two calls: then the lock is one on nothing.
  for (let attempt = 1; locked !== false && !isSameFile(pidFile, fd); attempt += 1) {
    closeSync(fd);
    if (attempt === LOCK_TRIES)
      throw new InstanceError(`Pid file "${pidFile}" is removed again and again`);
    fd = openPidFile(pidFile);
    locked = await lockFile(fd);
  }
  const holder = Number(readFileSync(fd, "utf8").trim());
  // Without flock a living pid is the best sign there is.
  if (locked === false || (locked === undefined && isAlive(holder))) {
    closeSync(fd);
    throw new InstanceError(
      `Another portico (pid ${holder}) runs this configuration; its pid file is "${pidFile}"`,
    );
  }
  ftruncateSync(fd);
  writeSync(fd, `${process.pid}\n`);
  return {
    release() {
      // Somebody may have removed it, and another server made its own.
      if (isSameFile(pidFile, fd)) unlinkSync(pidFile);
      closeSync(fd);
    },
  };
}

const LOCK_TRIES = 10;

function openPidFile(pidFile: string): number {
  try {
    return openSync(pidFile, "a+", 0o644);
  } catch (cause) {
    throw new InstanceError(
      `Cannot open pid file "${pidFile}": ${(cause as NodeJS.ErrnoException).code}`,
      { cause },
    );
  }
}

function isSameFile(path: string, fd: number): boolean {
  const [named, open] = [statSync(path, { throwIfNoEntry: false }), fstatSync(fd)];
  return named?.ino === open.ino && named.dev === open.dev;
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
