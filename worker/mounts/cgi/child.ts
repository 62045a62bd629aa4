// Starts one program with three pipes in a process group of its own, and nothing else of this process.
// The only file that knows how: everything above it sees Child.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { isUtf8 } from "node:buffer";
import { once } from "node:events";
import { open } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";
import type { ByteString } from "../../http/exchange.ts";

/** How a program ended: an exit code, or the signal that killed it. */
export type Exit = { readonly code: number | null; readonly signal: string | null };

/** Variables and their bytes; no NUL anywhere, no "=" in a name. */
export type Environment = ReadonlyMap<string, ByteString>;

/** A running program. */
export interface Child {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exited: Promise<Exit>;
  /** Signals the whole process group; false when nobody is left in it. Signal 0 only asks. */
  kill(signal: "SIGTERM" | "SIGKILL" | 0): boolean;
}

/** Starts `program` without arguments. Rejects with the errno of the start as `code`. */
export async function startChild(
  program: string,
  environment: Environment,
  cwd: string,
): Promise<Child> {
  await refuseShellFallback(program);
  const child = spawn(program, [], {
    cwd,
    env: Object.fromEntries([...environment].map(([name, value]) => [name, decode(value)])),
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  const exited = new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  await once(child, "spawn");
  const { pid } = child;
  assert(pid !== undefined, "A child that has spawned has a pid");
  return {
    pid,
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    exited,
    kill: (signal) => signalGroup(pid, signal),
  };
}

/** Whether a program sees exactly these bytes: child_process encodes every variable as UTF-8. */
export function isCarriedExactly(value: ByteString): boolean {
  return isUtf8(Buffer.from(value, "latin1"));
}

function decode(value: ByteString): string {
  const bytes = Buffer.from(value, "latin1");
  return isUtf8(bytes) ? bytes.toString("utf8") : value;
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
    const start = buffer.subarray(0, bytesRead);
    if (start.includes(0) || start.toString("latin1", 0, 2) === "#!") return;
  } catch {
    return; // A directory: the start says EACCES.
  } finally {
    await file.close();
  }
  throw Object.assign(new Error(`Cannot start "${program}": no "#!" line`), { code: "ENOEXEC" });
}

function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    // ESRCH: all gone. EPERM: what is left changed its user and is out of our reach.
    return false;
  }
}
