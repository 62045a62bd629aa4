// Where the page starts: boards come in, what is known changes, the page follows at the next frame. A hidden page gets no
// frames and draws nothing. The only importer of preact; JSX compiles to its runtime.

import { render } from "preact";
import { parseUpdate } from "./board.ts";
import { createChart } from "./chart.ts";
import { chartSpecs } from "./charts.ts";
import { keepConnected } from "./connection.ts";
import { rowAfterKey } from "./cursor-keys.ts";
import { createHistory } from "./history.ts";
import { Page } from "./page.tsx";
import { WINDOWS_SECS, type View } from "./view.ts";

const PROTOCOL = "lws-server-status";

const page = document.getElementById("page");
if (page) startPage(page);

function startPage(root: HTMLElement): void {
  const history = createHistory();
  const charts = chartSpecs.map((spec) =>
    createChart(spec, (cursor) => {
      if (cursor !== view.cursor) show({ cursor });
    }),
  );
  let frame: number | undefined;
  let hasNewRows = false;
  /** The moment that keys chose; it stays under the cursor while the charts move on. */
  let chosenTime: number | undefined;
  let view: View = {
    link: { kind: "connecting" },
    update: undefined,
    history,
    charts,
    windowSecs: WINDOWS_SECS[0],
    cursor: undefined,
    actions: {
      retry: () => link.retry(),
      showWindow(windowSecs) {
        hasNewRows = true;
        show({ windowSecs });
      },
      pressKey(key) {
        if (key === "Escape") point(undefined);
        const { length } = history.rows;
        const row = rowAfterKey(key, view.cursor ?? length - 1, length);
        if (row !== undefined) point(row);
        return row !== undefined;
      },
      leave: () => point(undefined),
    },
  };

  function show(change: Partial<View>): void {
    view = { ...view, ...change };
    frame ??= requestAnimationFrame(draw);
  }

  function point(index: number | undefined): void {
    chosenTime = history.times[index ?? -1];
    charts[0]?.point(index);
  }

  function draw(): void {
    frame = undefined;
    if (hasNewRows) {
      hasNewRows = false;
      for (const chart of charts) chart.draw(history, view.windowSecs);
      if (chosenTime !== undefined) {
        const row = history.times.indexOf(chosenTime);
        point(row === -1 ? undefined : row);
      }
    }
    render(<Page view={view} />, root);
  }

  render(<Page view={view} />, root);
  const url = new URL("live", location.href.replace(/^http/, "ws"));
  const link = keepConnected(url, PROTOCOL, {
    state(state) {
      if (state.kind !== "live") history.interrupt();
      show({ link: state });
    },
    message(text) {
      const update = parseUpdate(text);
      if (!update || !history.add(update.board)) return;
      hasNewRows = true;
      show({ update });
    },
  });
  addEventListener("online", () => link.retry());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const chart of charts) chart.recolour();
  });
}
