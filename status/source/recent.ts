// What each worker, host and mount did in the last seconds: the difference of two boards that are some seconds apart.

import { isSameRun, type Board, type MountCounters } from "./board.ts";
import { percentile } from "./percentile.ts";

/** Long enough for numbers that can be read, short enough to follow. */
export const RECENT_SECS = 10;
/** Bounds what is kept when boards come faster than once a second. */
const MAX_BOARDS = 12;

export type Recent = {
  /** Requests per second; undefined where nobody knows yet. */
  readonly requests: number | undefined;
  readonly failed: number | undefined;
  readonly sent: number | undefined;
  /** Microseconds that so great a share of the requests did not exceed; undefined where there was none. */
  quantile(share: number): number | undefined;
};

const NOTHING_KNOWN: Recent = {
  requests: undefined,
  failed: undefined,
  sent: undefined,
  quantile: () => undefined,
};
const NOTHING_DONE: Recent = { ...NOTHING_KNOWN, requests: 0, failed: 0, sent: 0 };

export type RecentBoards = {
  add(board: Board): void;
  /** Forgets everything: what comes next is not connected to it. */
  clear(): void;
  worker(id: number): Recent;
  generation(number: number): Recent;
  vhost(index: number): Recent;
  mount(vhost: number, index: number): Recent;
};

/** Knows nothing yet. */
export function createRecentBoards(): RecentBoards {
  let boards: Board[] = [];

  function between(
    now: MountCounters | undefined,
    before: MountCounters | undefined,
    isNew: boolean,
  ): Recent {
    const [first] = boards;
    const last = boards.at(-1);
    if (!first || !last || first === last) return NOTHING_KNOWN;
    if (!now || now === before) return NOTHING_DONE;
    if (!before && !isNew) return NOTHING_KNOWN;
    const secs = (last.now - first.now) / 1000;
    return {
      requests: (now.requests - (before?.requests ?? 0)) / secs,
      failed: (now.status5xx - (before?.status5xx ?? 0)) / secs,
      sent: (now.tx - (before?.tx ?? 0)) / secs,
      quantile(share) {
        const buckets = now.latency.map((count, at) => count - (before?.latency[at] ?? 0));
        return percentile(buckets, last.latencyBoundsUs, share);
      },
    };
  }

  /** The same part of the newest board and of the oldest one. */
  function both<Part>(of: (board: Board) => Part): [Part | undefined, Part | undefined] {
    const [first] = boards;
    const last = boards.at(-1);
    return [last && of(last), first && of(first)];
  }

  return {
    add(board) {
      const last = boards.at(-1);
      // Places of vhosts and mounts mean the same only as long as they are not described anew.
      const isSame =
        last !== undefined &&
        isSameRun(last, board) &&
        last.listeners === board.listeners &&
        last.now < board.now;
      boards = isSame ? [...boards, board] : [board];
      while (
        boards.length > MAX_BOARDS ||
        (boards.length > 2 && (boards[1]?.now ?? 0) <= board.now - RECENT_SECS * 1000)
      )
        boards.shift();
    },
    clear() {
      boards = [];
    },
    worker(id) {
      const [now, before] = both((board) => board.workers.find((worker) => worker.id === id));
      return between(now?.counters, before?.counters, true);
    },
    generation(number) {
      const [now, before] = both((board) => board.generations.find((one) => one.number === number));
      return between(now?.counters, before?.counters, true);
    },
    vhost(index) {
      const [now, before] = both((board) => board.vhosts[index]);
      return between(now?.counters, before?.counters, false);
    },
    mount(vhost, index) {
      const [now, before] = both((board) => board.vhosts[vhost]?.mounts[index]);
      // Its counters come with the first request.
      return between(now?.counters, before?.counters, true);
    },
  };
}
