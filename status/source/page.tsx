// The whole page as a function of what is known. All that comes from the server gets there as text.

import { Alarms } from "./alarms.tsx";
import { ChartPanel } from "./chart-panel.tsx";
import type { LinkState } from "./connection.ts";
import { Facts } from "./facts.tsx";
import { Figures } from "./figures.tsx";
import { clockTime, duration } from "./format.ts";
import {
  Certificates,
  Listeners,
  Mounts,
  ProgramMounts,
  ProtocolCounts,
  Vhosts,
} from "./host-tables.tsx";
import type { Update } from "./message.ts";
import { LastReload } from "./reload.tsx";
import type { View } from "./view.ts";
import { Generations, Workers } from "./worker-tables.tsx";

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
        <Sections update={update} />
      </header>
      <main class={isStale ? "stale" : ""}>
        {update === undefined && link.kind === "waiting" && (
          <p class="notice">
            No numbers yet. They come from the WebSocket protocol <code>lws-server-status</code>,
            which the virtual host of this page has to name in <code>"ws-protocols"</code>.
          </p>
        )}
        {update && <Alarms board={update.board} />}
        <Figures update={update} row={history.seconds.rows.at(-1)} />
        <ChartPanel view={view} />
        {update && <Details view={view} update={update} />}
      </main>
    </>
  );
}

function Details({ view, update }: { readonly view: View; readonly update: Update }) {
  const { board } = update;
  return (
    <>
      <div class="pair">
        <Generations view={view} board={board} />
        <LastReload board={board} />
      </div>
      <Workers view={view} board={board} />
      <Vhosts view={view} board={board} />
      <Mounts view={view} board={board} />
      <ProgramMounts view={view} board={board} />
      <ProtocolCounts view={view} board={board} />
      <Certificates view={view} board={board} />
      <Listeners view={view} board={board} />
      <Facts update={update} />
    </>
  );
}

/** The way to each part of a long page. */
function Sections({ update }: { readonly update: Update | undefined }) {
  const vhosts = update?.board.vhosts ?? [];
  const hasPrograms = vhosts.some(({ mounts }) => mounts.some(({ cgi }) => cgi));
  const hasCounts = vhosts.some(({ protocolCounts }) => protocolCounts);
  const hasCertificates = vhosts.some(({ certificate }) => certificate);
  const sections: readonly (readonly [id: string, name: string])[] = [
    ["charts", "Over time"],
    ["workers-section", "Workers"],
    ["vhosts-section", "Hosts"],
    ["mounts-section", "Mounts"],
    ...(hasPrograms ? [["programs-section", "Programs"] as const] : []),
    ...(hasCounts ? [["protocols-section", "Protocols"] as const] : []),
    ...(hasCertificates ? [["certificates-section", "Certificates"] as const] : []),
    ["listeners-section", "Addresses"],
    ["facts", "Since the start"],
  ];
  return (
    <nav aria-label="Sections">
      {sections.map(([id, name]) => (
        <a key={id} href={`#${id}`}>
          {name}
        </a>
      ))}
    </nav>
  );
}

function describeServer({ board }: Update): string {
  const uptime = duration((board.now - board.startedAt) / 1000);
  return `Portico ${board.version} · up ${uptime} · process ${board.pid} · ${board.directory}`;
}

function LinkBadge({ view: { link, history, actions } }: { readonly view: View }) {
  const last = history.seconds.times.at(-1);
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
