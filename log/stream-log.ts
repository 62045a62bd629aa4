// Lines to the standard output or error, which other processes write to as well. One write takes no more than a pipe keeps
// whole, and whole lines only, so lines of different workers never mix. A reader that stands still costs lines and a thread, never
// memory or requests: the descriptor may not be made non-blocking, because it is everybody's.

import { write } from "node:fs";
import type { AppendFile, AppendFileEvents } from "./append-file.ts";

/** PIPE_BUF of Linux: what one write(2) puts into a pipe without anything in between (pipe(7)). A longer line may be torn. */
const WRITE_BYTES = 4_096;
/** No line waits longer than this, ms; after an error the next attempt comes then. */
const FLUSH_MS = 1_000;
/** Lines beyond this are dropped until the reader takes some. */
const MAX_PENDING_BYTES = 1024 * 1024;
/** Whoever ends does not wait longer for a reader. */
const CLOSE_MS = 1_000;

const NEWLINE = 0x0a;

const DESCRIPTORS: ReadonlyMap<string, number> = new Map([
  ["/dev/stdout", 1],
  ["/dev/stderr", 2],
]);

/** The descriptor that a path stands for; undefined for any other file. Such a path can often not be opened: by another user, or where it is a socket. */
export function standardStream(path: string): number | undefined {
  return DESCRIPTORS.get(path);
}

/** Writes to a descriptor that stays open. */
export function createStreamLog(
  fd: number,
  { onFailure, onDrop }: Pick<AppendFileEvents, "onFailure" | "onDrop"> = {},
): AppendFile {
  const lines: string[] = [];
  let pendingBytes = 0;
  /** Whole lines on their way. */
  let current: Buffer | undefined;
  let activity: "idle" | "writing" | "failing" = "idle";
  /** The failure that goes on was told. */
  let hasFailed = false;
  let dropped = 0;
  let timer: NodeJS.Timeout | undefined;
  /** Called when the last line is out; set from close() on. */
  let onEnd: (() => void) | undefined;

  function drop(count: number): void {
    dropped += count;
    if (count > 0) onDrop?.(count);
  }

  /** As many lines as fit into one write, at least one. */
  function take(): Buffer | undefined {
    let text = lines.shift();
    if (text === undefined) return undefined;
    while (lines[0] !== undefined && text.length + lines[0].length <= WRITE_BYTES)
      text += lines.shift() ?? "";
    return Buffer.from(text, "latin1");
  }

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (activity === "writing") return;
    current ??= take();
    if (!current) return end();
    activity = "writing";
    write(fd, current, 0, current.length, null, onWritten);
  }

  function onWritten(error: Error | null, written: number): void {
    activity = "idle";
    if (error) {
      if (!hasFailed) onFailure?.(error);
      hasFailed = true;
      activity = "failing";
      if (onEnd) return end();
      timer ??= setTimeout(flush, FLUSH_MS).unref();
      return;
    }
    hasFailed = false;
    pendingBytes -= written;
    current = current && written < current.length ? current.subarray(written) : undefined;
    if (current || onEnd || pendingBytes >= WRITE_BYTES) flush();
    else if (pendingBytes > 0) timer ??= setTimeout(flush, FLUSH_MS).unref();
  }

  function end(): void {
    if (!onEnd) return;
    clearTimeout(timer);
    drop(lines.splice(0).length + (current?.filter((byte) => byte === NEWLINE).length ?? 0));
    current = undefined;
    const done = onEnd;
    onEnd = () => {};
    done();
  }

  return {
    get dropped() {
      return dropped;
    },
    write(line) {
      if (onEnd || pendingBytes + line.length > MAX_PENDING_BYTES) return drop(1);
      lines.push(line);
      pendingBytes += line.length;
      if (activity === "idle" && pendingBytes >= WRITE_BYTES) flush();
      else if (activity !== "writing") timer ??= setTimeout(flush, FLUSH_MS).unref();
    },
    reopen() {},
    close() {
      if (onEnd) return Promise.resolve();
      return new Promise((resolve) => {
        onEnd = resolve;
        setTimeout(end, CLOSE_MS).unref();
        flush();
      });
    },
  };
}
