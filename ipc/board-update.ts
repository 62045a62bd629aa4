// A board as it travels to those who watch: with thousands of vhosts, only what changed since the one before. Pure.

import type { Board } from "./board.ts";

export type BoardUpdate = {
  readonly board: Omit<Board, "vhosts" | "listeners">;
  /** Undefined where they are as they were. */
  readonly listeners: Board["listeners"] | undefined;
  /** All of them; undefined where there are as many as before. */
  readonly vhosts: Board["vhosts"] | undefined;
  /** Those among them that are not as they were, by their place. */
  readonly changed: readonly (readonly [index: number, vhost: Board["vhosts"][number]])[];
};

/** What somebody has to hear who knows `before`. Parts that are the same objects count as unchanged. */
export function describeChanges(board: Board, before: Board | undefined): BoardUpdate {
  const { vhosts, listeners, ...rest } = board;
  const isComparable = before?.vhosts.length === vhosts.length;
  return {
    board: rest,
    listeners: listeners === before?.listeners ? undefined : listeners,
    vhosts: isComparable ? undefined : vhosts,
    changed: isComparable
      ? [...vhosts.entries()].filter(([index, vhost]) => vhost !== before.vhosts[index])
      : [],
  };
}

/** The board that an update makes of the one before. What did not change is the same object. */
export function applyUpdate(before: Board | undefined, update: BoardUpdate): Board {
  const { changed } = update;
  let vhosts = update.vhosts ?? before?.vhosts ?? [];
  if (changed.length > 0) {
    const mended = [...vhosts];
    for (const [index, vhost] of changed) mended[index] = vhost;
    vhosts = mended;
  }
  return { ...update.board, listeners: update.listeners ?? before?.listeners ?? [], vhosts };
}
