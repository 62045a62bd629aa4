// `portico status` for people: one screen.

import type { Board, BoardCertificate, BoardNats } from "../ipc/board.ts";
import { formatCounters } from "./format-counters.ts";
import { alignColumns } from "./table.ts";

const WORKER_COLUMNS =
  "WORKER,GEN,PID,STATE,ENDS IN,UP,CPU,MEMORY,REQUESTS,CONN,WS,ACTIVE,LAG".split(",");

/** The board as aligned text. */
export function formatStatus(board: Board): string {
  const lines = [
    `portico ${board.version}, pid ${board.pid}, up ${formatDuration((board.now - board.startedAt) / 1000)}, generation ${board.generation}, ${board.directory}`,
    formatReload(board),
    "",
    ...table(
      ["ADDRESS", "VHOSTS"],
      board.listeners.map((listener) => [
        `${listener.address} ${listener.state === "waiting" ? "(waiting for it)" : listener.secure ? "https" : "http"}`,
        listener.vhosts.join(" "),
      ]),
    ),
    "",
    ...table(
      WORKER_COLUMNS,
      board.workers.map((worker) => [
        `${worker.id}`,
        `${worker.generation}`,
        `${worker.pid}`,
        worker.state,
        formatDeadline(worker.endsAt, board.now),
        formatDuration(worker.uptimeSecs),
        `${worker.cpuPercent}%`,
        formatBytes(worker.memoryBytes),
        `${worker.counters.requests}`,
        `${worker.gauges.openConnections}`,
        `${worker.gauges.openWebSockets}`,
        `${worker.gauges.activeRequests}`,
        `${worker.gauges.loopLagMs.toFixed(1)}ms`,
      ]),
    ),
    "",
    ...table(
      ["VHOST", "CONN", "REQUESTS", "2XX", "3XX", "4XX", "5XX", "WS", "IN", "OUT"],
      [...board.vhosts, { key: "total", counters: board.totals }].map(({ key, counters }) => [
        key,
        ...[
          counters.connections,
          counters.requests,
          counters.status2xx,
          counters.status3xx,
          counters.status4xx,
          counters.status5xx,
          counters.upgrades,
        ].map(String),
        formatBytes(counters.rx),
        formatBytes(counters.tx),
      ]),
    ),
  ];
  if (board.recent.length > 0)
    lines.push(
      "",
      ...table(
        ["LAST", "REQUESTS/S", "4XX/S", "5XX/S", "IN/S", "OUT/S", "P50", "P90", "P99"],
        board.recent.map((window) => [
          formatDuration(window.measuredSecs),
          `${window.requestsPerSec}`,
          `${window.status4xxPerSec}`,
          `${window.status5xxPerSec}`,
          formatBytes(Math.round(window.rxPerSec)),
          formatBytes(Math.round(window.txPerSec)),
          ...[window.p50Us, window.p90Us, window.p99Us].map(formatMicroseconds),
        ]),
      ),
    );
  lines.push("", ...formatCounters(board));
  const counted = board.vhosts.flatMap(({ key, protocolCounts = {} }) =>
    Object.entries(protocolCounts).map(([protocol, counters]) => [
      protocol,
      key,
      Object.entries(counters)
        .map(([name, count]) => `${count} ${name}`)
        .join(", "),
    ]),
  );
  if (counted.length > 0) lines.push("", ...table(["PROTOCOL", "VHOST", "COUNTED"], counted));
  const certificates = board.vhosts.flatMap(({ key, certificate }) =>
    certificate ? [formatCertificate(key, certificate)] : [],
  );
  if (certificates.length > 0)
    lines.push("", ...table(["CERTIFICATE OF", "EXPIRES", "DAYS LEFT", ""], certificates));
  if (board.nats) lines.push("", formatNats(board.nats));
  if (board.restarts > 0)
    lines.push(
      "",
      `${board.restarts} workers restarted, ${board.samplesLost} lost their last second of statistics`,
      ...alignColumns(
        board.deaths.map(({ at, worker, pid, why }) => [
          `  ${new Date(at).toISOString()}`,
          `worker ${worker}, pid ${pid}`,
          why,
        ]),
      ),
    );
  return lines.join("\n");
}

function formatDeadline(endsAt: number | undefined, now: number): string {
  return endsAt === undefined ? "" : formatDuration(Math.max(0, endsAt - now) / 1000);
}

function formatCertificate(key: string, certificate: BoardCertificate): string[] {
  const { expiresAt, daysLeft, problem } = certificate;
  const day = new Date(expiresAt).toISOString().slice(0, 10);
  return [key, day, String(daysLeft), problem === undefined ? "" : `kept: ${problem}`];
}

function formatNats({ address, isUp, sent, received }: BoardNats): string {
  const state = isUp ? "connected" : "NOT connected";
  return `bus over NATS at ${address}: ${state}, ${sent} messages sent, ${received} received`;
}

function formatReload({ lastReload }: Board): string {
  if (!lastReload) return "no reload yet";
  const at = new Date(lastReload.at).toISOString();
  return [
    `last reload ${at}: ${lastReload.outcome}, ${lastReload.message}`,
    ...lastReload.problems.map((line) => `  ${line}`),
  ].join("\n");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return alignColumns([head, ...rows]);
}

function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  return power === 0 ? `${bytes}B` : `${(bytes / 1024 ** power).toFixed(1)}${units[power]}`;
}

function formatMicroseconds(us: number | null): string {
  return us === null ? "-" : `${(us / 1000).toFixed(1)}ms`;
}

function formatDuration(seconds: number): string {
  const whole = Math.floor(seconds);
  const parts = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
    whole % 60,
  ];
  const first = parts.findIndex((part) => part > 0);
  if (first === -1) return "0s";
  return parts
    .slice(first, first + 2)
    .map((part, index) => `${part}${"dhms"[first + index]}`)
    .join("");
}
