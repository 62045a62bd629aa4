// The numbers one looks at first: how things stand now, large, and what belongs to them, small.

import { sum } from "./board.ts";
import { byteRate, micros, rate, UNKNOWN, whole } from "./format.ts";
import type { Row } from "./history.ts";
import type { Update } from "./message.ts";

type Figure = {
  readonly name: string;
  readonly now: string;
  readonly more: string;
  readonly isBad?: boolean;
};

/** The tiles; before the first update they are there already, so that nothing moves. */
export function Figures(props: {
  readonly update: Update | undefined;
  readonly row: Row | undefined;
}) {
  return (
    <dl class="figures" id="figures">
      {figures(props.update, props.row).map(({ name, now, more, isBad = false }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class={isBad ? "bad" : ""}>{now}</dd>
          <dd class="faint">{more}</dd>
        </div>
      ))}
    </dl>
  );
}

function figures(update: Update | undefined, row: Row | undefined): Figure[] {
  const board = update?.board;
  const totals = board?.totals;
  const workers = board?.workers ?? [];
  const inState = (wanted: string): number =>
    workers.filter(({ state }) => state === wanted).length;
  const known = (text: string): string => (board ? text : UNKNOWN);
  const gauge = (name: keyof (typeof workers)[number]["gauges"]): number =>
    sum(workers, ({ gauges }) => gauges[name]);
  return [
    {
      name: "Requests per second",
      now: rate(row?.requests),
      more: known(`${whole(totals?.requests)} in all`),
    },
    {
      name: "Errors per second",
      now: rate(row?.status5xx),
      more: known(`5xx; 4xx ${rate(row?.status4xx)}`),
      isBad: (row?.status5xx ?? 0) > 0,
    },
    {
      name: "Time to answer, p99",
      now: micros(row?.p99),
      more: known(`p50 ${micros(row?.p50)}`),
    },
    { name: "Sent", now: byteRate(row?.tx), more: known(`received ${byteRate(row?.rx)}`) },
    {
      name: "Connections",
      now: known(whole(gauge("openConnections"))),
      more: known(`TLS ${whole(gauge("openTls"))}, HTTP/2 ${whole(gauge("openHttp2"))}`),
    },
    {
      name: "WebSockets",
      now: known(whole(gauge("openWebSockets"))),
      more: known(`${whole(totals?.upgrades)} opened`),
    },
    {
      name: "Requests in flight",
      now: known(whole(gauge("activeRequests"))),
      more: known(`CGI ${whole(gauge("cgiAlive"))}`),
    },
    {
      name: "Workers serving",
      now: known(whole(inState("serving"))),
      more: known(`${whole(inState("draining"))} draining`),
    },
  ];
}
