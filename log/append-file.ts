// A log file that many processes append to. Every write is whole lines with O_APPEND, so lines of different workers never mix.
// A disk that is full or slow costs lines, which are counted, and never memory or requests.

import {
  close,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  stat,
  write,
  type Stats,
} from "node:fs";

/** A buffer this full is written at once. */
const FLUSH_BYTES = 16 * 1024;
/** No line waits longer than this, ms; after an error the next attempt comes then. */
const FLUSH_MS = 1_000;
/** How often, at most, it is looked whether the path still means this file. */
const CHECK_MS = 1_000;
/** Lines beyond this are dropped until the file takes some. */
const MAX_PENDING_BYTES = 1024 * 1024;
/** Non-blocking, so that a FIFO nobody reads is an error and not a hang. */
const OPEN_FLAGS =
  constants.O_WRONLY |
  constants.O_CREAT |
  constants.O_APPEND |
  constants.O_NOCTTY |
  constants.O_NONBLOCK;
const MODE = 0o640;
const NEWLINE = 10;

export interface AppendFile {
  /** Lines given up so far. */
  readonly dropped: number;
  /** Takes one line, one character per byte, with its newline. */
  write(line: string): void;
  /** Opens the path anew after the file was renamed. Throws where that fails, and keeps the old file. */
  reopen(): void;
  /** Tries once to write what is left, and ends. */
  close(): Promise<void>;
}

export type AppendFileEvents = {
  /** Writing has begun to fail; not called again before it worked. */
  readonly onFailure?: (error: Error) => void;
  readonly onDrop?: (lines: number) => void;
  /** The path means another file or none, and it cannot be opened. Called at each look, so about once a second while lines come. */
  readonly onLost?: (error: Error) => void;
};

/** Opens a file for appending, and creates it where it is missing. Throws where that fails. */
export function createAppendFile(path: string, events: AppendFileEvents = {}): AppendFile {
  let fd = openSync(path, OPEN_FLAGS, MODE);
  let identity = fstatSync(fd);
  let checkedAt = performance.now();
  /** Takes the place of `fd` once no line is half written. */
  let reopened: number | undefined;
  let activity: "idle" | "writing" | "failing" = "idle";
  let timer: NodeJS.Timeout | undefined;
  /** Called when the last line is out; set from close() on. */
  let onEnd: (() => void) | undefined;
  let lines = "";
  /** Lines on their way to the file; they go before `lines`. */
  let current: Buffer | undefined;
  /** Of `current` a part has been written, and the rest must go to the same file. */
  let isTorn = false;
  let dropped = 0;
  let hasFailed = false;

  function drop(count: number): void {
    dropped += count;
    if (count > 0) events.onDrop?.(count);
  }

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (lines !== "" && !current) {
      current = Buffer.from(lines, "latin1");
      lines = "";
    }
    if (!current) return end();
    activity = "writing";
    if (performance.now() - checkedAt < CHECK_MS) return put(current);
    // A rotation that nobody told of, or a file that was removed: what is written to it now nobody would find.
    const bytes = current;
    stat(path, (error, found) => {
      checkedAt = performance.now();
      if (error?.code === "ENOENT" || (found && !isSame(found, identity))) follow();
      put(bytes);
    });
  }

  function put(bytes: Buffer): void {
    write(fd, bytes, 0, bytes.length, null, onWritten);
  }

  /** Goes on in whatever the path means now. */
  function follow(): void {
    if (reopened !== undefined) return;
    try {
      const opened = openSync(path, OPEN_FLAGS, MODE);
      if (isTorn) reopened = opened;
      else swap(opened);
    } catch (error) {
      events.onLost?.(error as Error);
    }
  }

  function onWritten(failure: Error | null, written: number): void {
    const error = failure ?? advance(written);
    if (error && !hasFailed) events.onFailure?.(error);
    hasFailed = error !== null;
    activity = error ? "failing" : "idle";
    if (reopened !== undefined && (error || !current)) swap(reopened);
    if (error && onEnd) return end();
    if (!error && (current || onEnd || lines.length >= FLUSH_BYTES)) return flush();
    if (current || lines !== "") schedule();
  }

  /** So many bytes of `current` are in the file. An error where there was no room for a line. */
  function advance(written: number): Error | null {
    if (!current || written === current.length) {
      current = undefined;
      isTorn = false;
      return null;
    }
    const whole = current.lastIndexOf(NEWLINE, written - 1) + 1;
    const isBack = whole < written && takeBack(fd, written - whole);
    isTorn = whole < written && !isBack;
    // Where it cannot be taken back the rest of the line goes first, or it would stay torn.
    current = current.subarray(isBack ? whole : written);
    return isBack ? new Error("There is no room for a whole line") : null;
  }

  function schedule(): void {
    timer ??= setTimeout(flush, FLUSH_MS).unref();
  }

  function swap(opened: number): void {
    close(fd, ignore);
    fd = opened;
    identity = fstatSync(fd);
    reopened = undefined;
  }

  function end(): void {
    if (!onEnd) return;
    drop(countLines(lines) + countLines(current?.toString("latin1") ?? ""));
    close(fd, ignore);
    onEnd();
  }

  return {
    get dropped() {
      return dropped;
    },
    write(line) {
      const pending = lines.length + (current?.length ?? 0);
      if (onEnd || pending + line.length > MAX_PENDING_BYTES) {
        drop(1);
        return;
      }
      lines += line;
      if (activity === "writing") return;
      if (activity === "idle" && lines.length >= FLUSH_BYTES) flush();
      else schedule();
    },
    reopen() {
      if (onEnd) return;
      const opened = openSync(path, OPEN_FLAGS, MODE);
      if (reopened !== undefined) close(reopened, ignore);
      reopened = opened;
      // What was logged before the rotation belongs to the old file.
      if (activity === "idle" && lines !== "") flush();
      if (activity !== "writing") swap(opened);
    },
    close() {
      if (onEnd) return Promise.resolve();
      return new Promise((resolve) => {
        onEnd = resolve;
        if (activity !== "writing") flush();
      });
    },
  };
}

/**
 * Takes the beginning of a line that the disk had no room for out of the file again: others append to it as well, and would go on
 * in the middle of that line. False where something stands behind it already, and for what is no file.
 */
function takeBack(fd: number, bytes: number): boolean {
  try {
    // Where our last write ended: with O_APPEND nobody else knows.
    const end = Number(
      /^pos:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1],
    );
    const found = fstatSync(fd);
    if (!found.isFile() || found.size !== end) return false;
    ftruncateSync(fd, end - bytes);
    return true;
  } catch {
    return false;
  }
}

function isSame(one: Stats, other: Stats): boolean {
  return one.ino === other.ino && one.dev === other.dev;
}

function countLines(text: string): number {
  return text.split("\n").length - 1;
}

function ignore(): void {}
