// The numbers one looks at first: how things stand now, large, and what they add up to, small.

import { sum, type Update } from "./board.ts";
import { byteRate, bytes, micros, rate, UNKNOWN, whole } from "./format.ts";
import type { Row } from "./history.ts";

type Figure = { readonly name: string; readonly now: string; readonly inAll: string };

/** The tiles; before the first update they are there already, so that nothing moves. */
export function Figures(props: {
  readonly update: Update | undefined;
  readonly row: Row | undefined;
}) {
  return (
    <dl class="figures" id="figures">
      {figures(props.update, props.row).map(({ name, now, inAll }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{now}</dd>
          <dd class="faint">{inAll}</dd>
        </div>
      ))}
    </dl>
  );
}

function figures(update: Update | undefined, row: Row | undefined): Figure[] {
  const board = update?.board;
  const totals = board?.totals;
  const workers = board?.workers ?? [];
  const draining = workers.filter(({ state }) => state === "draining").length;
  const serving = workers.filter(({ state }) => state === "serving").length;
  const known = (text: string): string => (board ? text : UNKNOWN);
  const cgiAlive = sum(workers, ({ gauges }) => gauges.cgiAlive);
  const inFlight = sum(workers, ({ gauges }) => gauges.activeRequests);
  return [
    {
      name: "Requests per second",
      now: rate(row?.requests),
      inAll: known(`${whole(totals?.requests)} in all`),
    },
    { name: "Time to answer, p99", now: micros(row?.p99), inAll: known(`p50 ${micros(row?.p50)}`) },
    { name: "Sent", now: byteRate(row?.tx), inAll: known(`${bytes(totals?.tx)} in all`) },
    { name: "Received", now: byteRate(row?.rx), inAll: known(`${bytes(totals?.rx)} in all`) },
    {
      name: "HTTP connections",
      now: whole(row?.http),
      inAll: known(`${whole(totals?.connections)} accepted`),
    },
    {
      name: "WebSockets",
      now: whole(row?.webSockets),
      inAll: known(`${whole(totals?.upgrades)} opened`),
    },
    {
      name: "Requests in flight",
      now: known(whole(inFlight)),
      inAll: known(`${whole(cgiAlive)} of them CGI`),
    },
    {
      name: "Workers serving",
      now: known(whole(serving)),
      inAll: known(`${whole(draining)} draining`),
    },
  ];
}
