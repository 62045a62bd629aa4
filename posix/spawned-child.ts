// A program that posix_spawn(3) has started, and our ends of its pipes. Most programs behind a web server say little and end
// at once: those are read whole, with a few calls, when they have ended. A stream is made of a pipe when somebody asks for it.

import assert from "node:assert/strict";
import { closeSync, readSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { MAX_GIVEN_BYTES, signalGroup, type Child, type Ended, type Exit } from "./child.ts";
import type { ChildReaper } from "./wait.ts";

/** Our ends. */
export type PipeEnds = {
  readonly stdin: number | undefined;
  readonly stdout: number;
  readonly stderr: number;
};

/** poll(2). */
type Poll = (fds: Buffer, count: number, timeoutMs: number) => number;

/** What all children of a starter share. */
export type ChildTools = { readonly reaper: ChildReaper; readonly reader: PipeReader };

/** How soon a pipe is looked at again that somebody else holds. */
const AGAIN_MS = 1;

export class SpawnedChild implements Child {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  readonly #ends: PipeEnds;
  readonly #tools: ChildTools;
  #input: "none" | "pipe" | Writable;
  #stdout: Readable | undefined;
  #stderr: Readable | undefined;

  constructor(pid: number, ends: PipeEnds, tools: ChildTools) {
    this.pid = pid;
    this.#ends = ends;
    this.#tools = tools;
    this.exited = tools.reaper.exitOf(pid);
    this.#input = ends.stdin === undefined ? "none" : "pipe";
  }

  get stdin(): Writable | undefined {
    if (this.#input === "pipe") this.#input = new Socket({ fd: this.#ends.stdin, readable: false });
    return this.#input === "none" ? undefined : this.#input;
  }

  get stdout(): Readable {
    return (this.#stdout ??= new Socket({ fd: this.#ends.stdout, writable: false }));
  }

  get stderr(): Readable {
    return (this.#stderr ??= new Socket({ fd: this.#ends.stderr, writable: false }));
  }

  give(bytes: Buffer): void {
    const { stdin } = this.#ends;
    assert(this.#input === "pipe" && stdin !== undefined && bytes.length <= MAX_GIVEN_BYTES);
    this.#input = "none";
    try {
      writeSync(stdin, bytes);
    } catch {
      // EPIPE: no program has to read its input.
    } finally {
      closeSync(stdin);
    }
  }

  async brief(withinMs: number): Promise<Ended | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<Ended | undefined>();
    const { reaper, reader } = this.#tools;
    const deadline = performance.now() + withinMs;
    const timer = setTimeout(() => {
      // A busy loop runs its timers before it hears of signals.
      if (!reaper.look(this.pid)) resolve(undefined);
    }, withinMs);
    const read = (exit: Exit): void => {
      try {
        const { stdout, stderr } = this.#ends;
        const said = this.#stdout || this.#stderr ? undefined : reader(stdout, stderr);
        if (said) return resolve({ exit, stdout: said[0], stderr: said[1] });
      } catch (error) {
        return reject(error);
      }
      // Another child may have our descriptors for as long as it takes to start: they are closed when it runs its program.
      if (performance.now() < deadline) setTimeout(read, AGAIN_MS, exit);
      else resolve(undefined);
    };
    void this.exited.then((exit) => {
      clearTimeout(timer);
      read(exit);
    });
    return await promise;
  }

  kill(signal: "SIGTERM" | "SIGKILL" | 0): boolean {
    return signalGroup(this.pid, signal);
  }
}

/** Reads two pipes to their end and closes them; undefined, and nothing is read, while anybody may still write to one. */
export type PipeReader = (one: number, other: number) => [Buffer, Buffer] | undefined;

const POLLIN = 1;
const POLLHUP = 0x10;
/** struct pollfd: descriptor, events, what happened. */
const POLLFD_BYTES = 8;
const EVENTS_AT = 4;
const HAPPENED_AT = 6;
/** More than a pipe holds, so that one read takes all of it. */
const READ_BYTES = 128 * 1024;
const NOTHING = Buffer.alloc(0);

/** A reader without a stream, because at the end there is nothing to wait for. */
export function createPipeReader(poll: Poll): PipeReader {
  const pair = Buffer.alloc(2 * POLLFD_BYTES);
  const piece = Buffer.allocUnsafeSlow(READ_BYTES);
  pair.writeInt16LE(POLLIN, EVENTS_AT);
  pair.writeInt16LE(POLLIN, POLLFD_BYTES + EVENTS_AT);

  return (one, other) => {
    pair.writeInt32LE(one, 0);
    pair.writeInt32LE(other, POLLFD_BYTES);
    if (poll(pair, 2, 0) !== 2) return undefined;
    const ofOne = pair.readInt16LE(HAPPENED_AT);
    const ofOther = pair.readInt16LE(POLLFD_BYTES + HAPPENED_AT);
    if ((ofOne & ofOther & POLLHUP) === 0) return undefined;
    try {
      return [ofOne & POLLIN ? readAll(one) : NOTHING, ofOther & POLLIN ? readAll(other) : NOTHING];
    } finally {
      closeSync(one);
      closeSync(other);
    }
  };

  /** A pipe whose writers are gone: reading never waits, and there is no more than the kernel keeps of one. */
  function readAll(fd: number): Buffer {
    const pieces: Buffer[] = [];
    for (;;) {
      const bytes = readSync(fd, piece);
      pieces.push(Buffer.from(piece.subarray(0, bytes)));
      if (bytes < READ_BYTES) return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    }
  }
}
