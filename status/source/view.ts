// What the page is made from at one moment.

import type { Arranger, TableState } from "./arrange.ts";
import type { Chart } from "./chart.ts";
import type { LinkState } from "./connection.ts";
import type { History } from "./history.ts";
import type { Update } from "./message.ts";
import type { RecentBoards } from "./recent.ts";

/** How far back the charts may go. Beyond ten minutes there is a row for each minute. */
export const WINDOWS = [
  { secs: 120, name: "2 min", rows: "seconds" },
  { secs: 600, name: "10 min", rows: "seconds" },
  { secs: 3_600, name: "1 h", rows: "minutes" },
  { secs: 86_400, name: "24 h", rows: "minutes" },
] as const;

export type Window = (typeof WINDOWS)[number];

export type View = {
  readonly link: LinkState;
  /** The newest update, also while disconnected. */
  readonly update: Update | undefined;
  readonly history: History;
  readonly recent: RecentBoards;
  readonly charts: readonly Chart[];
  readonly window: Window;
  /** Row of the history under the pointer. */
  readonly cursor: number | undefined;
  readonly arranger: Arranger;
  /** By the id of the table. */
  readonly tables: Readonly<Record<string, TableState | undefined>>;
  /** The table somebody points at. */
  readonly held: string | undefined;
  readonly actions: Actions;
};

export type Actions = {
  readonly retry: () => void;
  readonly showWindow: (window: Window) => void;
  /** Moves the cursor of the charts; false when the key means nothing to it. */
  readonly pressKey: (key: string) => boolean;
  /** Takes the cursor away. */
  readonly leave: () => void;
  readonly changeTable: (id: string, change: Partial<TableState>) => void;
  /** Somebody points at the rows of a table, or at none. */
  readonly hold: (id: string | undefined) => void;
};
