// Starts programs through child_process: slower the more memory this process has, because libuv forks. Everywhere the same,
// but for two things: a program's stderr is a socket here, so that it cannot open /dev/stderr by name, and descriptors
// that Node did not open itself may be passed on.

import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import {
  signalGroup,
  startFailure,
  type Child,
  type Environment,
  type Exit,
  type Starter,
  type StartRequest,
} from "./child.ts";

/** A starter that needs no library. */
export function createNodeStarter(): Starter {
  return {
    by: "child_process",
    // child_process encodes every variable as UTF-8.
    carries: (value) => isUtf8(Buffer.from(value, "latin1")),
    start,
  };
}

async function start({ program, args, environment, cwd, stdin }: StartRequest): Promise<Child> {
  await refuseShellFallback(program);
  const child = spawn(program, args, {
    cwd,
    env: decode(environment),
    stdio: [stdin === "pipe" ? "pipe" : "ignore", "pipe", "pipe"],
    detached: true,
  });
  const exited = new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal, usage: undefined }));
  });
  await once(child, "spawn");
  const { pid, stdout, stderr } = child;
  assert(pid !== undefined && stdout && stderr, "A child that has spawned has a pid and pipes");
  return {
    pid,
    stdin: child.stdin ?? undefined,
    stdout,
    stderr,
    exited,
    kill: (signal) => signalGroup(pid, signal),
  };
}

function decode(environment: Environment): Record<string, string> {
  const entries = [...environment].map(([name, value]) => {
    const bytes = Buffer.from(value, "latin1");
    return [name, isUtf8(bytes) ? bytes.toString("utf8") : value] as const;
  });
  return Object.fromEntries(entries);
}

/** The start of a file that decides how the kernel runs it. */
const MAGIC_BYTES = 128;

/**
 * libuv starts programs by execvp, which hands a text file without "#!" to /bin/sh.
 * Such a file is refused as execve itself refuses it: whoever forgot the line did not ask for a shell.
 */
async function refuseShellFallback(program: string): Promise<void> {
  const file = await open(program).catch(() => undefined);
  if (!file) return; // Missing, or a binary that may be run but not read: the start itself tells.
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAGIC_BYTES), 0, MAGIC_BYTES, 0);
    const magic = buffer.subarray(0, bytesRead);
    if (magic.includes(0) || magic.toString("latin1", 0, 2) === "#!") return;
  } catch {
    return; // A directory: the start says EACCES.
  } finally {
    await file.close();
  }
  throw startFailure(program, "ENOEXEC");
}
