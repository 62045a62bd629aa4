// This worker's view of the supervisor's board. It is asked for while somebody here watches, and a little longer: those who come
// and go all the time, as clients of a status page may, cost the supervisor no more than one who stays.

import { HISTORY_COLUMNS, type Board, type BoardHistory } from "../ipc/board.ts";
import { applyUpdate, type BoardUpdate } from "../ipc/board-update.ts";
import type { WorkerChannel } from "./bus.ts";

/** How long the board is kept up to date for nobody. */
const LINGER_MS = 3_000;
/** A history of this age is as good as a new one; what is missing of it stands in the board. */
const FRESH_MS = 2_000;
/** The supervisor answers at its next tick, or it is gone. */
const PATIENCE_MS = 5_000;

export type BoardListener = (board: Board) => void;

export type BoardClient = {
  /** Calls back with the board as it is, soon, and with every new one. Returns the way to stop. */
  watch(listener: BoardListener): () => void;
  /** What was before. Rejects where the supervisor does not answer. */
  readHistory(): Promise<BoardHistory>;
  receive(update: BoardUpdate): void;
  receiveHistory(rows: SentHistory): void;
};

export type SentHistory = { readonly seconds: Uint8Array; readonly minutes: Uint8Array };

/** Watches nothing yet. */
export function createBoardClient(
  channel: Pick<WorkerChannel, "send">,
  { lingerMs = LINGER_MS, patienceMs = PATIENCE_MS } = {},
): BoardClient {
  const listeners = new Set<BoardListener>();
  let board: Board | undefined;
  /** Whether the supervisor keeps `board` up to date. */
  let isCurrent = false;
  let isAsked = false;
  let lingering: NodeJS.Timeout | undefined;
  let known: { readonly history: BoardHistory; readonly at: number } | undefined;
  let coming: PromiseWithResolvers<BoardHistory> | undefined;

  function leave(): void {
    isAsked = false;
    isCurrent = false;
    channel.send("watch", { on: false });
  }

  async function fetchHistory(): Promise<BoardHistory> {
    const answer = (coming = Promise.withResolvers<BoardHistory>());
    const timer = setTimeout(
      () => answer.reject(new Error("The supervisor tells no history")),
      patienceMs,
    );
    channel.send("recall", {});
    try {
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      if (coming === answer) coming = undefined;
    }
  }

  return {
    watch(listener) {
      // The same function may be passed twice.
      const own: BoardListener = (latest) => listener(latest);
      listeners.add(own);
      clearTimeout(lingering);
      if (!isAsked) channel.send("watch", { on: true });
      isAsked = true;
      if (isCurrent)
        queueMicrotask(() => {
          if (board && listeners.has(own)) own(board);
        });
      return () => {
        if (!listeners.delete(own) || listeners.size > 0) return;
        clearTimeout(lingering);
        lingering = setTimeout(leave, lingerMs).unref();
      };
    },
    async readHistory() {
      if (known && performance.now() - known.at < FRESH_MS) return known.history;
      return coming ? coming.promise : fetchHistory();
    },
    receive(update) {
      board = applyUpdate(board, update);
      isCurrent = isAsked;
      for (const listener of listeners) listener(board);
    },
    receiveHistory({ seconds, minutes }) {
      const history = { seconds: rowsOf(seconds), minutes: rowsOf(minutes) };
      known = { history, at: performance.now() };
      coming?.resolve(history);
    },
  };
}

function rowsOf({ buffer, byteOffset, byteLength }: Uint8Array): number[][] {
  // A copy, because numbers have to stand at a multiple of their size.
  const numbers = new Float64Array(
    buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer,
  );
  const rows: number[][] = [];
  for (let at = 0; at < numbers.length; at += HISTORY_COLUMNS)
    rows.push([...numbers.subarray(at, at + HISTORY_COLUMNS)]);
  return rows;
}
