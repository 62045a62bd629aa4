// The whole page as a function of what is known. All that comes from the server gets there as text.

import type { Update } from "./board.ts";
import { ChartPanel } from "./chart-panel.tsx";
import type { LinkState } from "./connection.ts";
import { Figures } from "./figures.tsx";
import { clockTime, duration } from "./format.ts";
import { Facts, LastReload, ReloadAlarm } from "./facts.tsx";
import { Generations, Listeners, Mounts, Programs, Vhosts, Workers } from "./tables.tsx";
import type { View } from "./view.ts";

/** Everything that is shown. */
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
        {update && <Details update={update} rates={history.vhostRates} />}
      </main>
    </>
  );
}

function Details(props: { readonly update: Update; readonly rates: ReadonlyMap<string, number> }) {
  const { board } = props.update;
  return (
    <>
      <div class="pair">
        <Generations board={board} />
        <LastReload reload={board.lastReload} />
      </div>
      <Workers board={board} />
      <Vhosts board={board} rates={props.rates} />
      <Mounts board={board} />
      <Programs board={board} />
      <Listeners board={board} />
      <Facts update={props.update} />
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
