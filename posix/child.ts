// What it is to start a program and to have it running, whichever way it was started.

import type { Readable, Writable } from "node:stream";

/** Variables and their bytes, one character per byte (latin1); no NUL anywhere, no "=" in a name. */
export type Environment = ReadonlyMap<string, string>;

export type StartRequest = {
  /** An absolute path. Never a shell, never a search in PATH. */
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: Environment;
  readonly cwd: string;
  /** "pipe" where something will be written; "none" is an input that is at its end. */
  readonly stdin: "pipe" | "none";
};

/** What a program and all that it waited for took of the machine. */
export type Usage = {
  readonly cpuMs: number;
  /** The most memory that one of them had. Undefined up to what this process has: until it runs the program a child shares our memory, and the kernel counts that as its own. */
  readonly peakBytes: number | undefined;
};

/** How a program ended: an exit code, or the signal that killed it. */
export type Exit = {
  readonly code: number | null;
  readonly signal: string | null;
  /** Undefined where the system was not asked. */
  readonly usage: Usage | undefined;
};

/** Fits into a pipe that is empty, whatever its size is (PIPE_BUF of pipe(7)). */
export const MAX_GIVEN_BYTES = 4096;

/** All of a program that has ended and that nothing else speaks for. */
export type Ended = { readonly exit: Exit; readonly stdout: Buffer; readonly stderr: Buffer };

/** A running program: leader of a process group of its own, with default signals and nothing of ours but three descriptors. */
export interface Child {
  readonly pid: number;
  /** Undefined without a pipe. */
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exited: Promise<Exit>;
  /**
   * What the program was, if it ends within that time and leaves nobody behind who holds its output; undefined where it runs
   * on. To be asked before the streams, or not at all: two streams cost more than most of such programs.
   */
  brief?(withinMs: number): Promise<Ended | undefined>;
  /** Writes an input of at most MAX_GIVEN_BYTES and ends it, instead of `stdin`, which is gone then. */
  give?(bytes: Buffer): void;
  /** Signals the whole process group; false when nobody is left in it. Signal 0 only asks. */
  kill(signal: "SIGTERM" | "SIGKILL" | 0): boolean;
}

/** Starts programs. */
export interface Starter {
  readonly by: "posix_spawn" | "child_process";
  /** Whether a program sees exactly these bytes. */
  carries(value: string): boolean;
  /** Rejects with the errno of the start as `code`. */
  start(request: StartRequest): Promise<Child>;
}

/** Signals a process group; false when nobody is left in it. */
export function signalGroup(leader: number, signal: "SIGTERM" | "SIGKILL" | 0): boolean {
  try {
    return process.kill(-leader, signal);
  } catch {
    // ESRCH: all gone. EPERM: what is left changed its user and is out of our reach.
    return false;
  }
}

/** The failure of a start, as Node's own look. */
export function startFailure(program: string, code: string): Error {
  return Object.assign(new Error(`Cannot start "${program}": ${code}`), { code });
}
