// One board on request, for mounts: everybody who asks within a second shares one, so that scrapes cost the supervisor
// no more than one watcher does.

import type { Board } from "../ipc/board.ts";
import { HttpError } from "./http/exchange.ts";

/** Samples come once a second; a board of this age is as good as a new one. */
const FRESH_MS = 1_000;
/** The supervisor answers at once, or it is gone. */
const PATIENCE_MS = 5_000;

export type WatchBoard = (listener: (board: Board) => void) => () => void;
/** Throws HttpError when there is none to be had. */
export type ReadBoard = () => Promise<Board>;

/** Reads boards from what `watch` brings; it watches only while somebody waits. */
export function createBoardReader(watch: WatchBoard): ReadBoard {
  let latest: { readonly board: Board; readonly at: number } | undefined;
  let coming: Promise<Board> | undefined;

  function fetch(): Promise<Board> {
    return new Promise<Board>((resolve, reject) => {
      const unwatch = watch((board) => {
        end();
        latest = { board, at: performance.now() };
        resolve(board);
      });
      const timer = setTimeout(() => {
        end();
        reject(new HttpError(503, "The supervisor gives no statistics"));
      }, PATIENCE_MS);
      function end(): void {
        clearTimeout(timer);
        unwatch();
        coming = undefined;
      }
    });
  }

  return async () => {
    if (latest && performance.now() - latest.at < FRESH_MS) return latest.board;
    return (coming ??= fetch());
  };
}
