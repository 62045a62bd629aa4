// What became of the last reload, and who died.

import type { Board, Death, Reload } from "./board.ts";
import { dateTime } from "./format.ts";

export function LastReload({ board: { lastReload, deaths } }: { readonly board: Board }) {
  return (
    <section class="card" id="reload" aria-labelledby="reload-title">
      <div class="head">
        <h2 id="reload-title">Last reload</h2>
      </div>
      {lastReload ? (
        <>
          <p>
            <span class={`badge ${lastReload.outcome}`}>{lastReload.outcome}</span>{" "}
            <span class="faint">{dateTime(lastReload.at)}</span>
          </p>
          <Problems reload={lastReload} />
        </>
      ) : (
        <p class="faint">None since the start.</p>
      )}
      {deaths.length > 0 && <Deaths deaths={deaths} />}
    </section>
  );
}

export function Problems({ reload }: { readonly reload: Reload }) {
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

function Deaths({ deaths }: { readonly deaths: readonly Death[] }) {
  return (
    <>
      <h3 class="below">Workers that died</h3>
      <ul class="deaths" id="deaths">
        {deaths.map(({ at, worker, pid, why }) => (
          <li key={worker}>
            <span class="faint">{dateTime(at)}</span> worker {worker}, process {pid}
            {why === "" ? "" : `: ${why}`}
          </li>
        ))}
      </ul>
    </>
  );
}
