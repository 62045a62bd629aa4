// The whole page as a function of what is known. All that comes from the server gets there as text.

import type { Update } from "./board.ts";
import type { Chart } from "./chart.ts";
import { ChartPanel } from "./chart-panel.tsx";
import type { LinkState } from "./connection.ts";
import { Figures } from "./figures.tsx";
import { clockTime, duration } from "./format.ts";
import type { History } from "./history.ts";
import { ReloadAlarm, ServerDetails } from "./server-details.tsx";
import { Tables } from "./tables.tsx";

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
    readonly point: (index: number | undefined) => void;
  };
};

/** Everything below <body>. */
export function Page({ view }: { readonly view: View }) {
  const { link, update, history } = view;
  const isStale = link.kind !== "live" && update !== undefined;
  return (
    <>
      <header>
        <img src="icon.svg" width="44" height="44" alt="" />
        <div class="title">
          <h1>Server status</h1>
          <p>{update ? describeServer(update) : "Portico"}</p>
        </div>
        <LinkBadge view={view} />
      </header>
      <main class={isStale ? "stale" : ""}>
        {update === undefined && link.kind === "waiting" && (
          <p class="notice">
            No numbers yet. They come from the WebSocket protocol <code>lws-server-status</code>,
            which the virtual host of this page has to name in <code>"ws-protocols"</code>.
          </p>
        )}
        {update && <ReloadAlarm reload={update.board.lastReload} />}
        <Figures update={update} row={history.rows.at(-1)} />
        <ChartPanel view={view} />
        {update && <Tables board={update.board} rates={history.vhostRates} />}
        {update && <ServerDetails update={update} />}
      </main>
    </>
  );
}

function describeServer({ board }: Update): string {
  const uptime = duration((board.now - board.startedAt) / 1000);
  return `Portico ${board.version} · up ${uptime} · process ${board.pid} · ${board.directory}`;
}

function LinkBadge({ view: { link, history, actions } }: { readonly view: View }) {
  const last = history.times.at(-1);
  return (
    <div class="link">
      <p id="state" class={`badge ${link.kind}`}>
        {describeLink(link)}
      </p>
      {/* Said once per change; the seconds of the countdown would be read out one by one. */}
      <p class="visually-hidden" role="status">
        {link.kind === "waiting" ? "Connection lost, reconnecting" : describeLink(link)}
      </p>
      {link.kind === "waiting" ? (
        <button type="button" onClick={actions.retry}>
          Now
        </button>
      ) : (
        last !== undefined && <time class="faint">{clockTime(last)}</time>
      )}
    </div>
  );
}

function describeLink(link: LinkState): string {
  return link.kind === "waiting" ? `reconnecting in ${link.seconds} s` : link.kind;
}
