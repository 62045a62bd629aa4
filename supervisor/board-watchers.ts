// Workers that watch the board, and what each of them knows already. However often a worker asks, it is answered once in a
// while: it faces the network, and a board of thousands of vhosts takes its time.

import type { Board } from "../ipc/board.ts";
import { describeChanges } from "../ipc/board-update.ts";
import { FrameError } from "../ipc/frame.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** Between two answers to one worker, unless it is the tick that brings the second. */
const LEAST_PAUSE_MS = 500;

export type BoardWatchersOptions = {
  /** Undefined before there is any. */
  readonly board: () => Board | undefined;
  readonly history: () => { readonly seconds: Float64Array; readonly minutes: Float64Array };
};

type Watcher = {
  isWatching: boolean;
  wantsHistory: boolean;
  /** What it was told last; kept while it looks away, for it does the same. */
  known: Board | undefined;
  toldAt: number;
  recalledAt: number;
};

/** Who watches; nobody does at first. */
export class BoardWatchers {
  readonly #options: BoardWatchersOptions;
  readonly #watchers = new Map<WorkerProcess, Watcher>();

  constructor(options: BoardWatchersOptions) {
    this.#options = options;
  }

  watch(worker: WorkerProcess, on: boolean): void {
    const watcher = this.#of(worker);
    watcher.isWatching = on;
    if (on && performance.now() - watcher.toldAt >= LEAST_PAUSE_MS)
      this.#tell(worker, watcher, this.#options.board());
  }

  /** A worker wants to know what was before. */
  recall(worker: WorkerProcess): void {
    const watcher = this.#of(worker);
    watcher.wantsHistory = true;
    if (performance.now() - watcher.recalledAt >= LEAST_PAUSE_MS) this.#remind(worker, watcher);
  }

  /** Once a second. */
  tick(): void {
    let board: Board | undefined;
    for (const [worker, watcher] of this.#watchers) {
      if (worker.congested) continue;
      if (watcher.isWatching) this.#tell(worker, watcher, (board ??= this.#options.board()));
      if (watcher.wantsHistory) this.#remind(worker, watcher);
    }
  }

  depart(worker: WorkerProcess): void {
    this.#watchers.delete(worker);
  }

  #tell(worker: WorkerProcess, watcher: Watcher, board: Board | undefined): void {
    if (!board) return;
    try {
      worker.tell("board", describeChanges(board, watcher.known));
    } catch (error) {
      // No frame holds it. Whoever waits for it is told that there is none.
      if (!(error instanceof FrameError)) throw error;
      return;
    }
    watcher.known = board;
    watcher.toldAt = performance.now();
  }

  #remind(worker: WorkerProcess, watcher: Watcher): void {
    const { seconds, minutes } = this.#options.history();
    worker.tell("history", { seconds: bytesOf(seconds), minutes: bytesOf(minutes) });
    watcher.wantsHistory = false;
    watcher.recalledAt = performance.now();
  }

  #of(worker: WorkerProcess): Watcher {
    let watcher = this.#watchers.get(worker);
    if (!watcher) {
      watcher = {
        isWatching: false,
        wantsHistory: false,
        known: undefined,
        toldAt: -Infinity,
        recalledAt: -Infinity,
      };
      this.#watchers.set(worker, watcher);
    }
    return watcher;
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
