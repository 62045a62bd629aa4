// Where the page starts: boards come in, what is known changes, the page follows at the next frame. A hidden page gets no
// frames and draws nothing. The only importer of preact; JSX compiles to its runtime.

import { render } from "preact";
import { createArranger, UNSORTED } from "./arrange.ts";
import type { Board } from "./board.ts";
import { createChart } from "./chart.ts";
import { chartSpecs } from "./charts.ts";
import { keepConnected } from "./connection.ts";
import { rowAfterKey } from "./cursor-keys.ts";
import { createHistory, type Series } from "./history.ts";
import { readMessage } from "./message.ts";
import { Page } from "./page.tsx";
import { createRecentBoards } from "./recent.ts";
import { WINDOWS, type Actions, type View } from "./view.ts";

const PROTOCOL = "lws-server-status";
/** Everything once, then what changes. */
const ADDRESS = "live?changes";

const page = document.getElementById("page");
if (page) startPage(page);

function startPage(root: HTMLElement): void {
  const history = createHistory();
  const recent = createRecentBoards();
  const charts = chartSpecs.map((spec) =>
    createChart(spec, (cursor) => {
      if (cursor !== view.cursor) show({ cursor });
    }),
  );
  let frame: number | undefined;
  let hasNewRows = false;
  /** What changes are told from; not shown where it is older than what is. */
  let known: Board | undefined;
  /** The moment that keys chose; it stays under the cursor while the charts move on. */
  let chosenTime: number | undefined;
  const actions: Actions = {
    retry: () => link.retry(),
    showWindow(window) {
      hasNewRows = true;
      chosenTime = undefined;
      show({ window, cursor: undefined });
    },
    pressKey(key) {
      if (key === "Escape") point(undefined);
      const { length } = series().rows;
      const row = rowAfterKey(key, view.cursor ?? length - 1, length);
      if (row !== undefined) point(row);
      return row !== undefined;
    },
    leave: () => point(undefined),
    changeTable(id, change) {
      const table = { ...(view.tables[id] ?? UNSORTED), ...change };
      show({ tables: { ...view.tables, [id]: table } });
    },
    hold(held) {
      show({ held });
    },
  };
  let view: View = {
    link: { kind: "connecting" },
    update: undefined,
    history,
    recent,
    charts,
    window: WINDOWS[0],
    cursor: undefined,
    arranger: createArranger(),
    tables: {},
    held: undefined,
    actions,
  };

  function series(): Series {
    return history[view.window.rows];
  }

  function show(change: Partial<View>): void {
    view = { ...view, ...change };
    frame ??= requestAnimationFrame(draw);
  }

  function point(index: number | undefined): void {
    chosenTime = series().times[index ?? -1];
    charts[0]?.point(index);
  }

  function draw(): void {
    frame = undefined;
    if (hasNewRows) {
      hasNewRows = false;
      for (const chart of charts) chart.draw(series(), view.window.secs);
      if (chosenTime !== undefined) {
        const row = series().times.indexOf(chosenTime);
        point(row === -1 ? undefined : row);
      }
    }
    render(<Page view={view} />, root);
  }

  render(<Page view={view} />, root);
  const url = new URL(ADDRESS, location.href.replace(/^http/, "ws"));
  const link = keepConnected(url, PROTOCOL, {
    state(state) {
      if (state.kind !== "live") {
        history.interrupt();
        recent.clear();
        known = undefined;
      }
      show({ link: state });
    },
    message(text) {
      const update = readMessage(text, known);
      if (!update) return;
      known = update.board;
      if (!history.add(update.board, update.history)) return;
      recent.add(update.board);
      hasNewRows = true;
      show({ update });
    },
  });
  addEventListener("online", () => link.retry());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const chart of charts) chart.recolour();
  });
}
