// Generations and their workers.

import { sum, type Board, type Generation, type Worker } from "./board.ts";
import { number, recentColumns, size } from "./columns.tsx";
import { clockTime, duration, millis, percent } from "./format.ts";
import type { Recent } from "./recent.ts";
import { Table, type Column } from "./table.tsx";
import type { View } from "./view.ts";

type Props = { readonly view: View; readonly board: Board };

type GenerationRow = {
  readonly generation: Generation;
  readonly workers: readonly Worker[];
  readonly recent: Recent;
  readonly now: number;
};

/** Newest first. */
export function Generations({ view, board }: Props) {
  const items = board.generations
    .toSorted((one, other) => other.number - one.number)
    .map((generation): GenerationRow => ({
      generation,
      workers: board.workers.filter((worker) => worker.generation === generation.number),
      recent: view.recent.generation(generation.number),
      now: board.now,
    }));
  return (
    <Table
      view={view}
      id="generations"
      title="Generations"
      columns={generationColumns}
      items={items}
      keyOf={({ generation }) => generation.number}
      empty="None."
    />
  );
}

type WorkerRow = { readonly worker: Worker; readonly recent: Recent; readonly now: number };

export function Workers({ view, board }: Props) {
  const items = board.workers.map((worker): WorkerRow => ({
    worker,
    recent: view.recent.worker(worker.id),
    now: board.now,
  }));
  return (
    <Table
      view={view}
      id="workers"
      title="Workers"
      columns={workerColumns}
      items={items}
      keyOf={({ worker }) => worker.id}
      empty="None."
    />
  );
}

/** "until 13:45:02, 4m 12s". */
function deadline(endsAt: number | undefined, now: number): string {
  if (endsAt === undefined) return "";
  return `until ${clockTime(endsAt / 1000)}, ${duration(Math.max(0, endsAt - now) / 1000)}`;
}

const generationColumns: readonly Column<GenerationRow>[] = [
  { title: "Generation", text: ({ generation }) => String(generation.number) },
  {
    title: "State",
    text: ({ generation }) => generation.state,
    note: ({ generation, now }) => deadline(generation.endsAt, now),
    isBadge: true,
    hint: "One that drains finishes what it has; what is left at that time is cut",
  },
  number("Workers", ({ workers }) => workers.length),
  ...recentColumns<GenerationRow>(),
  number("Requests", ({ generation }) => generation.counters.requests),
  number("Connections", ({ workers }) => sum(workers, (w) => w.gauges.openConnections)),
  number("WebSockets", ({ workers }) => sum(workers, (w) => w.gauges.openWebSockets)),
  size("Memory", ({ workers }) => sum(workers, (w) => w.memoryBytes)),
  number("Up", ({ generation, now }) => (now - generation.startedAt) / 1000, duration),
];

const workerColumns: readonly Column<WorkerRow>[] = [
  {
    title: "Worker",
    text: ({ worker }) => String(worker.id),
    value: ({ worker }) => worker.id,
    note: ({ worker }) => `gen ${worker.generation}, pid ${worker.pid}`,
  },
  {
    title: "State",
    text: ({ worker }) => worker.state,
    note: ({ worker, now }) => deadline(worker.endsAt, now),
    isBadge: true,
  },
  number("Up", ({ worker }) => worker.uptimeSecs, duration),
  ...recentColumns<WorkerRow>("p50", "p99"),
  number("CPU", ({ worker }) => worker.cpuPercent, percent, {
    hint: "Share of one processor",
  }),
  number("Loop busy", ({ worker }) => 100 * worker.gauges.loopUtilization, percent, {
    hint: "Share of the last second in which the event loop was busy",
  }),
  number("Loop lag", ({ worker }) => worker.gauges.loopLagMs, millis, {
    hint: "How late timers are, 99th percentile of the last second",
  }),
  size("Memory", ({ worker }) => worker.memoryBytes),
  size("Heap", ({ worker }) => worker.gauges.heapBytes),
  number("Connections", ({ worker }) => worker.gauges.openConnections),
  number("HTTP/2", ({ worker }) => worker.gauges.openHttp2, undefined, {
    hint: "Open connections of HTTP/2",
  }),
  number("WebSockets", ({ worker }) => worker.gauges.openWebSockets),
  number("Raw", ({ worker }) => worker.gauges.openRaw, undefined, {
    hint: "Open connections that are not HTTP",
  }),
  number("In flight", ({ worker }) => worker.gauges.activeRequests),
  number("CGI", ({ worker }) => worker.gauges.cgiAlive, undefined, {
    hint: "Programs that run",
  }),
];
