// The board as families of metrics. What is labelled is bounded: vhosts, mounts and certificates by MAX_SERIES, workers by
// their slots. Families without those labels count the whole server since it started, vhosts that are gone included.

import type { Board, BoardMount, BoardNats, BoardVhost } from "../../../ipc/board.ts";
import type { VhostCounters } from "../../../ipc/stats.ts";
import { describeCounters } from "./counter-families.ts";
import type { Buckets, Family, Sample } from "./exposition.ts";
import { counter, gauge } from "./family.ts";

/** Series of one family. */
const MAX_SERIES = 1_000;
const US_PER_SEC = 1_000_000;
const MS_PER_SEC = 1_000;

const BY_VHOST: readonly (readonly [
  name: string,
  counter: Exclude<keyof VhostCounters, "latency">,
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
    ...describeCounters(board.counters),
    ...describeMounts(board.vhosts),
    describeProtocols(uniqueByKey(board.vhosts)),
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
    ...(board.nats ? describeNats(board.nats) : []),
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

function describeNats({ isUp, sent, received }: BoardNats): Family[] {
  return [
    gauge("nats_up", "1 while the bus reaches other machines; else 0.", isUp ? 1 : 0),
    counter("nats_sent", "Messages of plugins to other machines.", sent),
    counter("nats_received", "Messages of plugins from other machines.", received),
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
  ];
}

function describeLatency({ totals: { latency }, latencyBoundsUs, counters }: Board): Buckets {
  let count = 0;
  const upTo = latencyBoundsUs.map((bound, bucket): [number, number] => {
    count += latency[bucket] ?? 0;
    return [bound / US_PER_SEC, count];
  });
  count += latency[latencyBoundsUs.length] ?? 0;
  return { upTo, count, sum: counters.durationUs / US_PER_SEC };
}

function describeMounts(vhosts: readonly BoardVhost[]): Family[] {
  const mounts = vhosts.flatMap(({ key, mounts: all }) => all.map((mount) => ({ key, mount })));
  /** Only those of which there is anything to tell. */
  function each<Part>(
    part: (mount: BoardMount) => Part | undefined,
  ): (value: (part: Part) => number) => Sample[] {
    const told = mounts
      .flatMap(({ key, mount }) => {
        const found = part(mount);
        const labels = { vhost: key, mountpoint: mount.mountpoint };
        return found === undefined ? [] : [{ labels, found }];
      })
      .slice(0, MAX_SERIES);
    return (value) => told.map(({ labels, found }) => ({ labels, value: value(found) }));
  }
  const traffic = each(({ counters }) => counters);
  const programs = each(({ cgi }) => cgi);
  return [
    counter(
      "mount_requests",
      "Requests for a mount.",
      traffic(({ requests }) => requests),
    ),
    counter(
      "mount_server_errors",
      "Answers of a mount with status 500 and above.",
      traffic(({ status5xx }) => status5xx),
    ),
    counter(
      "mount_sent_bytes",
      "Bytes of bodies that a mount sent.",
      traffic(({ tx }) => tx),
      "bytes",
    ),
    counter(
      "mount_programs_started",
      "Programs started for a mount.",
      programs(({ started }) => started),
    ),
    counter(
      "mount_programs_failed",
      "Programs of a mount that failed.",
      programs(({ failed }) => failed),
    ),
    counter(
      "mount_programs_timed_out",
      "Programs of a mount that took too long.",
      programs(({ timedOut }) => timedOut),
    ),
    counter(
      "mount_programs_refused",
      "Requests of a mount that got no place.",
      programs(({ refused }) => refused),
    ),
    counter(
      "mount_programs_cpu_seconds",
      "Processor time of the programs of a mount.",
      programs(({ cpuMs }) => cpuMs / MS_PER_SEC),
      "seconds",
    ),
    gauge(
      "mount_programs_running",
      "Programs of a mount that run.",
      programs(({ alive }) => alive),
    ),
    gauge(
      "mount_programs_queued",
      "Requests of a mount that wait for a place.",
      programs(({ queued }) => queued),
    ),
  ];
}

/** What plugins count, each by a name of its own. */
function describeProtocols(vhosts: readonly BoardVhost[]): Family {
  const counts = vhosts.flatMap(({ key, protocolCounts = {} }) =>
    Object.entries(protocolCounts).flatMap(([protocol, counters]) =>
      Object.entries(counters).map(([name, value]): Sample => ({
        labels: { vhost: key, protocol, counter: name },
        value,
      })),
    ),
  );
  return counter(
    "protocol_events",
    "What protocols count themselves.",
    counts.slice(0, MAX_SERIES),
  );
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
      "open_tls_connections",
      "Those of them that speak TLS.",
      total(({ gauges }) => gauges.openTls),
    ),
    gauge(
      "open_http2_connections",
      "Those of them that speak HTTP/2.",
      total(({ gauges }) => gauges.openHttp2),
    ),
    gauge(
      "open_raw_connections",
      "Those of them that are not HTTP.",
      total(({ gauges }) => gauges.openRaw),
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
      "file_cache_bytes",
      "Memory that files in memory take, all workers together.",
      total(({ gauges }) => gauges.cacheBytes),
      "bytes",
    ),
    gauge(
      "compression_cache_bytes",
      "Memory that compressed files take, all workers together.",
      total(({ gauges }) => gauges.compressedBytes),
      "bytes",
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
