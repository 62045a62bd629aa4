// What happens seldom: the last reload with what it said, and the counters that should stay low.

import type { Reload, Update } from "./board.ts";
import { dateTime, whole } from "./format.ts";

/** Shown on top while the newest reload is one that failed. */
export function ReloadAlarm({ reload }: { readonly reload: Reload | undefined }) {
  if (reload?.outcome !== "failed") return null;
  return (
    <div class="alarm" role="alert" id="reload-alarm">
      <p>
        <strong>The reload of {dateTime(reload.at)} failed.</strong> Generation {reload.generation}{" "}
        serves on with the configuration it has.
      </p>
      <Problems reload={reload} />
    </div>
  );
}

/** The rest of the board. */
export function Facts({ update }: { readonly update: Update }) {
  const { board } = update;
  const { counters, totals } = board;
  const facts: readonly (readonly [name: string, value: string])[] = [
    ["Load average, 1, 5 and 15 min", update.load.join("  ")],
    ["Descriptors a worker may open", limit(update.maxDescriptors)],
    ["CGI programs started", whole(counters.cgiStarted)],
    ["CGI programs failed", whole(counters.cgiFailed)],
    ["CGI programs timed out", whole(counters.cgiTimedOut)],
    ["Requests rejected", whole(totals.rejected)],
    ["Requests aborted", whole(totals.aborted)],
    ["Connections refused", whole(counters.refusedFull)],
    ["Idle connections closed for others", whole(counters.connectionsShed)],
    ["Clients cut for being slow", whole(counters.clientsTooSlow)],
    ["HTTP/2 connections ended for faults", whole(counters.http2Faults)],
    ["Bus messages published", whole(counters.busPublished)],
    ["Bus messages delivered", whole(counters.busDelivered)],
    ["Bus messages dropped", whole(counters.busDropped)],
    ["Log lines dropped", whole(counters.logLinesDropped)],
    ["Workers that died", whole(board.restarts)],
    ["Samples lost with a worker", whole(board.samplesLost)],
  ];
  return (
    <section class="card" aria-labelledby="facts-title">
      <h2 id="facts-title">Since the start</h2>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

export function LastReload({ reload }: { readonly reload: Reload | undefined }) {
  return (
    <section class="card" id="reload" aria-labelledby="reload-title">
      <h2 id="reload-title">Last reload</h2>
      {reload ? (
        <>
          <p>
            <span class={`badge ${reload.outcome}`}>{reload.outcome}</span>{" "}
            <span class="faint">{dateTime(reload.at)}</span>
          </p>
          <Problems reload={reload} />
        </>
      ) : (
        <p class="faint">None since the start.</p>
      )}
    </section>
  );
}

function Problems({ reload }: { readonly reload: Reload }) {
  return (
    <>
      {reload.message !== "" && <p class="message">{reload.message}</p>}
      {reload.problems.length > 0 && (
        <ul class="problems">
          {reload.problems.map((problem, index) => (
            <li key={index}>{problem}</li>
          ))}
        </ul>
      )}
    </>
  );
}

function limit(descriptors: string): string {
  return descriptors === "0" ? "unknown" : whole(Number(descriptors));
}
