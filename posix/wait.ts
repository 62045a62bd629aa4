// How children ended: their status and what they used, collected by pid on SIGCHLD.

import { constants } from "node:os";
import type { Exit } from "./child.ts";

const WNOHANG = 1;
/** struct rusage of getrusage(2): user and system time as seconds and microseconds, then the peak in KiB. */
const RUSAGE_BYTES = 256;
const RUSAGE_PEAK_AT = 32;

/** wait4(2): pid, status, options, usage. */
type Wait4 = (pid: number, status: Buffer, options: number, usage: Buffer) => number;

export type ChildReaper = {
  /** How a child ends; to be called once for each. */
  exitOf(pid: number): Promise<Exit>;
  /** Whether it has ended; does not wait for the signal. */
  look(pid: number): boolean;
};

/** Collects the exit status of children that are handed to it. libuv waits for those of child_process in the same way, by pid. */
export function createReaper(wait4: Wait4): ChildReaper {
  const waiting = new Map<number, (exit: Exit) => void>();
  const status = Buffer.alloc(4);
  const usage = Buffer.alloc(RUSAGE_BYTES);
  let state: "idle" | "listening" = "idle";
  /** The most memory that this process had when it was last asked: asking costs, and it only grows. */
  let ownPeak = 0;
  const peakOf = (peak: number): number | undefined => {
    if (peak > ownPeak) ownPeak = process.resourceUsage().maxRSS;
    return peak > ownPeak ? peak * 1024 : undefined;
  };
  const ask = (pid: number, resolve: (exit: Exit) => void): void => {
    if (wait4(pid, status, WNOHANG, usage) !== pid) return;
    waiting.delete(pid);
    resolve(readExit(status.readUInt32LE(), usage, peakOf));
  };
  const reap = (): void => waiting.forEach((resolve, pid) => ask(pid, resolve));
  return {
    look(pid) {
      const resolve = waiting.get(pid);
      if (resolve) ask(pid, resolve);
      return !waiting.has(pid);
    },
    exitOf(pid) {
      // For good: to listen and to stop for each child costs more, and no loop is kept alive by it.
      if (state === "idle") process.on("SIGCHLD", reap);
      state = "listening";
      const { promise, resolve } = Promise.withResolvers<Exit>();
      waiting.set(pid, resolve);
      // The thread that started it may have told later than the signal that it has ended.
      ask(pid, resolve);
      return promise;
    },
  };
}

/** The status of wait(2), as <sys/wait.h> takes it apart. */
function readExit(
  status: number,
  usage: Buffer,
  peakOf: (peak: number) => number | undefined,
): Exit {
  const signal = status & 0x7f;
  const seconds = Number(usage.readBigInt64LE(0) + usage.readBigInt64LE(16));
  const microseconds = Number(usage.readBigInt64LE(8) + usage.readBigInt64LE(24));
  const peak = Number(usage.readBigInt64LE(RUSAGE_PEAK_AT));
  return {
    code: signal === 0 ? (status >> 8) & 0xff : null,
    signal: signal === 0 ? null : nameOf(signal),
    usage: {
      cpuMs: seconds * 1000 + microseconds / 1000,
      peakBytes: peakOf(peak),
    },
  };
}

function nameOf(signal: number): string {
  const known = Object.entries(constants.signals).find(([, number]) => number === signal);
  return known?.[0] ?? `signal ${signal}`;
}
