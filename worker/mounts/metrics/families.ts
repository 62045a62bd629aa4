// The board as families of metrics. What is labelled is bounded: vhosts, mounts and certificates by MAX_SERIES, workers by
// their slots. Families without a label count the whole server since it started, vhosts that are gone included.

import type { Board, BoardVhost, VhostCounters, WorkerCounters } from "../../../ipc/stats.ts";
import type { Buckets, Family, Sample } from "./exposition.ts";

/** Series of one family. */
const MAX_SERIES = 1_000;
const US_PER_SEC = 1_000_000;
const MS_PER_SEC = 1_000;

const BY_VHOST: readonly (readonly [
  name: string,
  counter: keyof VhostCounters,
  help: string,
  unit?: "bytes",
])[] = [
  ["http_requests", "requests", "Requests that ended, WebSocket upgrades included."],
  ["http_connections", "connections", "Connections whose first request was for the vhost."],
  ["http_rejected", "rejected", "Malformed requests and refused upgrades."],
  ["http_aborted", "aborted", "Answers cut before their end."],
  ["websocket_upgrades", "upgrades", "WebSockets opened."],
  ["received_bytes", "rx", "Bytes from clients, heads included.", "bytes"],
  ["sent_bytes", "tx", "Bytes to clients, heads included.", "bytes"],
];

const OF_SERVER: Readonly<
  Record<Exclude<keyof WorkerCounters, "durationUs">, readonly [name: string, help: string]>
> = {
  cgiStarted: ["cgi_started", "Programs started."],
  cgiFailed: ["cgi_failed", "Programs that could not be started or answered wrongly."],
  cgiTimedOut: ["cgi_timed_out", "Programs ended because they took too long."],
  connectionsRefused: ["connections_refused", "Connections not taken for a limit."],
  connectionsShed: ["connections_shed", "Idle connections closed to make room."],
  clientsTooSlow: ["clients_too_slow", "Clients cut because they sent or took too little."],
  logLinesDropped: ["log_lines_dropped", "Lines of access logs that could not be written."],
  busPublished: ["bus_published", "Messages that plugins published."],
  busDelivered: ["bus_delivered", "Messages that plugins got."],
  busDropped: ["bus_dropped", "Messages of plugins that were lost."],
  wsDropped: ["websocket_messages_dropped", "WebSocket messages that a slow client did not get."],
  wsTooSlow: ["websocket_clients_too_slow", "WebSockets closed because their client was slow."],
  http2Faults: ["http2_faults", "HTTP/2 connections ended for what their client did."],
};

const STATUS_CLASSES = {
  "1xx": "status1xx",
  "2xx": "status2xx",
  "3xx": "status3xx",
  "4xx": "status4xx",
  "5xx": "status5xx",
} as const satisfies Record<string, keyof VhostCounters>;

const WORKER_STATES = ["starting", "ready", "serving", "draining", "stopping"] as const;

/** Everything there is to tell about a server. */
export function describeServer(board: Board): Family[] {
  return [
    ...describeProcess(board),
    ...describeTraffic(board),
    ...describePrograms(board.vhosts),
    ...describeWorkers(board),
  ].filter((family) => family.type === "histogram" || family.samples.length > 0);
}

function describeProcess(board: Board): Family[] {
  const { lastReload } = board;
  return [
    gauge("build_info", "Always 1; the label tells the version.", [
      { labels: { version: board.version }, value: 1 },
    ]),
    gauge(
      "start_time_seconds",
      "When the server started, since the epoch.",
      board.startedAt / MS_PER_SEC,
      "seconds",
    ),
    gauge("generation", "Number of the generation that serves.", board.generation),
    gauge(
      "last_reload_success",
      "1 if the last reload took effect, or there was none; else 0.",
      lastReload?.outcome === "failed" ? 0 : 1,
    ),
    gauge(
      "last_reload_time_seconds",
      "When the last reload ended, since the epoch.",
      lastReload ? [{ value: lastReload.at / MS_PER_SEC }] : [],
      "seconds",
    ),
    counter("worker_restarts", "Workers that died and were replaced.", board.restarts),
    counter(
      "samples_lost",
      "Workers that took their last second of counts along.",
      board.samplesLost,
    ),
    gauge(
      "certificate_expiry_time_seconds",
      "When the certificate of a vhost expires, since the epoch.",
      board.vhosts
        .slice(0, MAX_SERIES)
        .flatMap(({ key, certificate }) =>
          certificate
            ? [{ labels: { vhost: key }, value: certificate.expiresAt / MS_PER_SEC }]
            : [],
        ),
      "seconds",
    ),
  ];
}

function describeTraffic(board: Board): Family[] {
  const vhosts = uniqueByKey(board.vhosts);
  const listed = vhosts.slice(0, MAX_SERIES);
  return [
    gauge("vhosts", "Virtual hosts of the configuration.", vhosts.length),
    ...BY_VHOST.map(([name, field, help, unit]) =>
      counter(
        name,
        help,
        listed.map(({ key, counters }) => ({ labels: { vhost: key }, value: counters[field] })),
        unit,
      ),
    ),
    counter(
      "http_all_requests",
      "Requests of all vhosts, those that a reload removed included.",
      board.totals.requests,
    ),
    counter(
      "http_responses",
      "Answers of all vhosts by class of status.",
      Object.entries(STATUS_CLASSES).map(([name, field]) => ({
        labels: { class: name },
        value: board.totals[field],
      })),
    ),
    {
      type: "histogram",
      name: "portico_http_request_duration_seconds",
      unit: "seconds",
      help: "Time from the head of a request to the end of its answer.",
      buckets: describeLatency(board),
    },
    ...Object.entries(OF_SERVER).map(([field, [name, help]]) =>
      counter(name, help, board.counters[field as keyof typeof OF_SERVER]),
    ),
  ];
}

function describeLatency({ latency, latencyBoundsUs, counters }: Board): Buckets {
  let count = 0;
  const upTo = latencyBoundsUs.map((bound, bucket): [number, number] => {
    count += latency[bucket] ?? 0;
    return [bound / US_PER_SEC, count];
  });
  count += latency[latencyBoundsUs.length] ?? 0;
  return { upTo, count, sum: counters.durationUs / US_PER_SEC };
}

function describePrograms(vhosts: readonly BoardVhost[]): Family[] {
  const mounts = vhosts
    .flatMap(({ key, mounts: all }) =>
      all.flatMap(({ mountpoint, cgi }) =>
        cgi ? [{ labels: { vhost: key, mountpoint }, cgi }] : [],
      ),
    )
    .slice(0, MAX_SERIES);
  const of = (value: (cgi: (typeof mounts)[number]["cgi"]) => number): Sample[] =>
    mounts.map(({ labels, cgi }) => ({ labels, value: value(cgi) }));
  return [
    counter(
      "mount_programs_started",
      "Programs started for a mount.",
      of((cgi) => cgi.started),
    ),
    counter(
      "mount_programs_failed",
      "Programs of a mount that failed.",
      of((cgi) => cgi.failed),
    ),
    counter(
      "mount_programs_refused",
      "Requests of a mount that got no place.",
      of((cgi) => cgi.refused),
    ),
    counter(
      "mount_programs_cpu_seconds",
      "Processor time of the programs of a mount.",
      of((cgi) => cgi.cpuMs / MS_PER_SEC),
      "seconds",
    ),
    gauge(
      "mount_programs_running",
      "Programs of a mount that run.",
      of((cgi) => cgi.alive),
    ),
    gauge(
      "mount_programs_queued",
      "Requests of a mount that wait for a place.",
      of((cgi) => cgi.queued),
    ),
  ];
}

function describeWorkers({ workers, generation }: Board): Family[] {
  // While a worker is replaced two have the same slot: the newer one has the higher number.
  const bySlot = new Map(
    workers
      .filter((worker) => worker.generation === generation)
      .toSorted((a, b) => a.id - b.id)
      .map((worker) => [worker.slot, worker]),
  );
  type Worker = (typeof workers)[number];
  const each = (value: (worker: Worker) => number): Sample[] =>
    [...bySlot].map(([slot, worker]) => ({ labels: { slot: `${slot}` }, value: value(worker) }));
  const total = (value: (worker: Worker) => number): number =>
    workers.reduce((sum, worker) => sum + value(worker), 0);
  return [
    gauge(
      "workers",
      "Workers of all generations by state.",
      WORKER_STATES.map((state) => ({
        labels: { state },
        value: workers.filter((worker) => worker.state === state).length,
      })),
    ),
    gauge(
      "open_connections",
      "Connections that are open.",
      total(({ gauges }) => gauges.openConnections),
    ),
    gauge(
      "open_websockets",
      "WebSockets that are open.",
      total(({ gauges }) => gauges.openWebSockets),
    ),
    gauge(
      "active_requests",
      "Requests in flight.",
      total(({ gauges }) => gauges.activeRequests),
    ),
    gauge(
      "cgi_running",
      "Programs that run.",
      total(({ gauges }) => gauges.cgiAlive),
    ),
    gauge(
      "worker_cpu_ratio",
      "Share of one processor.",
      each(({ cpuPercent }) => cpuPercent / 100),
      "ratio",
    ),
    gauge(
      "worker_memory_bytes",
      "Resident memory.",
      each(({ memoryBytes }) => memoryBytes),
      "bytes",
    ),
    gauge(
      "worker_heap_bytes",
      "Memory of the JavaScript heap in use.",
      each(({ gauges }) => gauges.heapBytes),
      "bytes",
    ),
    gauge(
      "worker_event_loop_lag_seconds",
      "How late timers are, 99th percentile of the last second.",
      each(({ gauges }) => gauges.loopLagMs / MS_PER_SEC),
      "seconds",
    ),
    gauge(
      "worker_event_loop_busy_ratio",
      "Share of the last second in which the event loop was busy.",
      each(({ gauges }) => gauges.loopUtilization),
      "ratio",
    ),
  ];
}

/** Vhosts of one name and port on several addresses are counted together. */
function uniqueByKey(vhosts: readonly BoardVhost[]): BoardVhost[] {
  return [...new Map(vhosts.map((vhost) => [vhost.key, vhost])).values()];
}

type Unit = Family["unit"];

function counter(
  name: string,
  help: string,
  value: number | readonly Sample[],
  unit?: Unit,
): Family {
  return metric("counter", name, help, value, unit);
}

function gauge(name: string, help: string, value: number | readonly Sample[], unit?: Unit): Family {
  return metric("gauge", name, help, value, unit);
}

function metric(
  type: "counter" | "gauge",
  name: string,
  help: string,
  value: number | readonly Sample[],
  unit: Unit,
): Family {
  const samples = typeof value === "number" ? [{ value }] : value;
  return { type, name: `portico_${name}`, help, samples, ...(unit && { unit }) };
}
