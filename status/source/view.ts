// What the page is made from at one moment.

import type { Update } from "./board.ts";
import type { Chart } from "./chart.ts";
import type { LinkState } from "./connection.ts";
import type { History } from "./history.ts";

/** How much of the history the charts may show. */
export const WINDOWS_SECS = [120, 300, 600] as const;

export type View = {
  readonly link: LinkState;
  /** The newest update, also while disconnected. */
  readonly update: Update | undefined;
  readonly history: History;
  readonly charts: readonly Chart[];
  readonly windowSecs: number;
  /** Row of the history under the pointer. */
  readonly cursor: number | undefined;
  readonly actions: {
    readonly retry: () => void;
    readonly showWindow: (secs: number) => void;
    /** Moves the cursor of the charts; false when the key means nothing to it. */
    readonly pressKey: (key: string) => boolean;
    /** Takes the cursor away. */
    readonly leave: () => void;
  };
};
