// The statistics of all workers as one: the latest sample of each that lives, plus what those that left had counted.
// Totals never go back. A worker killed with -9 takes at most its last interval with it; that is counted.

import { vhostKey } from "../config/listeners.ts";
import type { ServerConfig } from "../config/server.ts";
import {
  addCounters,
  addSample,
  emptyTotals,
  emptyVhostCounters,
  LATENCY_BOUNDS_US,
  mountKey,
  type Board,
  type BoardCertificate,
  type BoardReload,
  type BoardVhost,
  type CgiCounters,
  type CgiGauges,
  type Sample,
  type Totals,
  type VhostCounters,
  type WorkerGauges,
} from "../ipc/stats.ts";
import type { Generation } from "./generation.ts";
import { formatOrigin } from "./greeting.ts";
import { History } from "./history.ts";
import type { Listener } from "./listeners.ts";
import type { ProcessUsage } from "./usage.ts";
import type { WorkerProcess } from "./worker-process.ts";

const NO_GAUGES: WorkerGauges = {
  openConnections: 0,
  openWebSockets: 0,
  activeRequests: 0,
  cgiAlive: 0,
  heapBytes: 0,
  loopLagMs: 0,
  loopUtilization: 0,
};

export type BoardFacts = {
  readonly version: string;
  readonly startedAt: number;
  readonly config: ServerConfig;
  readonly generation: number;
  readonly listeners: readonly Listener[];
  readonly missing: readonly string[];
  readonly generations: Iterable<Generation>;
  readonly usage: (pid: number) => ProcessUsage;
  readonly lastReload: BoardReload | undefined;
  readonly certificate: (vhost: number) => BoardCertificate | undefined;
};

/** The board of one supervisor. */
export class StatsBoard {
  readonly #latest = new Map<WorkerProcess, Sample>();
  readonly #retired: Totals = emptyTotals();
  /** Names that any configuration of this server has had: what else a worker counts is none of ours. */
  readonly #known = new Set<string>();
  readonly #left = new WeakSet<WorkerProcess>();
  readonly #history = new History();
  #samplesLost = 0;
  #restarts = 0;

  constructor() {
    this.tick();
  }

  /** From now on workers may have this configuration. */
  know(config: ServerConfig): void {
    for (const vhost of config.vhosts) {
      const key = vhostKey(vhost);
      this.#known.add(key);
      for (const { mountpoint } of vhost.mounts) this.#known.add(mountKey(key, mountpoint));
    }
  }

  /** The newest sample of a worker replaces its older one: samples are cumulative. */
  record(worker: WorkerProcess, sample: Sample, last: boolean): void {
    if (this.#left.has(worker)) return;
    // Totals outlive workers, so names of a worker's own making would be kept for ever.
    if (!this.#isOurs(sample)) return worker.kill("Sent statistics of what is not configured");
    this.#latest.set(worker, sample);
    if (!last) return;
    this.#left.add(worker);
    this.#retire(worker);
  }

  #isOurs({ vhosts, cgi, cgiGauges, latency }: Sample): boolean {
    if (latency.length > LATENCY_BOUNDS_US.length + 1) return false;
    return [vhosts, cgi, cgiGauges].every((table) =>
      Object.keys(table).every((name) => this.#known.has(name)),
    );
  }

  /** A worker is gone. Without a final sample its last interval is lost, and said to be. */
  depart(worker: WorkerProcess): void {
    if (!this.#latest.has(worker)) return;
    this.#samplesLost += 1;
    this.#retire(worker);
  }

  countRestart(): void {
    this.#restarts += 1;
  }

  totals(): Totals {
    const totals = emptyTotals();
    addSample(totals, this.#retired);
    for (const sample of this.#latest.values()) addSample(totals, sample);
    return totals;
  }

  /** Once a second: how things stand goes into the history. */
  tick(): void {
    const totals = this.totals();
    this.#history.record(performance.now(), sumVhosts(totals), totals.latency);
  }

  /** Everything as it stands now. */
  snapshot(facts: BoardFacts): Board {
    const totals = this.totals();
    const sum = sumVhosts(totals);
    return {
      version: facts.version,
      pid: process.pid,
      directory: facts.config.directory,
      startedAt: facts.startedAt,
      now: Date.now(),
      generation: facts.generation,
      restarts: this.#restarts,
      samplesLost: this.#samplesLost,
      listeners: [
        ...facts.listeners.map((listener) => describeListener(listener, facts.config)),
        ...facts.missing.map((name) => ({
          address: name,
          secure: false,
          vhosts: [],
          state: "waiting" as const,
        })),
      ],
      workers: [...facts.generations].flatMap((generation) =>
        [...generation.workers].map((worker) => this.#describeWorker(worker, facts.usage)),
      ),
      vhosts: describeVhosts(facts, totals, (mount) => this.#describePrograms(mount, totals)),
      totals: sum,
      counters: totals.counters,
      latency: totals.latency,
      latencyBoundsUs: LATENCY_BOUNDS_US,
      recent: this.#history.windows(performance.now(), sum, totals.latency),
      lastReload: facts.lastReload,
    };
  }

  /** What a mount of programs has counted, and how it stands in all workers together. */
  #describePrograms(mount: string, totals: Totals): { cgi?: CgiCounters & CgiGauges } {
    const counters = totals.cgi[mount];
    if (!counters) return {};
    const gauges: CgiGauges = { alive: 0, queued: 0 };
    for (const { cgiGauges } of this.#latest.values()) addCounters(gauges, cgiGauges[mount] ?? {});
    return { cgi: { ...counters, ...gauges } };
  }

  #retire(worker: WorkerProcess): void {
    const sample = this.#latest.get(worker);
    if (!sample) return;
    this.#latest.delete(worker);
    addSample(this.#retired, sample);
  }

  #describeWorker(
    worker: WorkerProcess,
    usage: (pid: number) => ProcessUsage,
  ): Board["workers"][number] {
    return {
      id: worker.id,
      slot: worker.slot,
      generation: worker.generation,
      pid: worker.pid,
      state: worker.state,
      uptimeSecs: Math.round((Date.now() - worker.startedAt) / 1000),
      ...usage(worker.pid),
      gauges: this.#latest.get(worker)?.gauges ?? NO_GAUGES,
    };
  }
}

/** All vhosts together, also those that a reload removed. */
function sumVhosts(totals: Totals): VhostCounters {
  const sum = emptyVhostCounters();
  for (const counters of Object.values(totals.vhosts)) addCounters(sum, counters);
  return sum;
}

function describeListener(listener: Listener, config: ServerConfig): Board["listeners"][number] {
  const indexes = [
    ...listener.vhosts,
    ...listener.overrides.flatMap((override) => override.vhosts),
  ];
  const vhosts = indexes.map((index) => config.vhosts[index]?.name ?? "");
  return { address: listener.bound, secure: listener.secure, vhosts, state: "open" };
}

function describeVhosts(
  facts: BoardFacts,
  totals: Totals,
  programs: (mount: string) => { cgi?: CgiCounters & CgiGauges },
): BoardVhost[] {
  return facts.config.vhosts.map((vhost, index): BoardVhost => {
    const key = vhostKey(vhost);
    const listener = facts.listeners.find((candidate) =>
      [candidate.vhosts, ...candidate.overrides.map((override) => override.vhosts)].some((list) =>
        list.includes(index),
      ),
    );
    const certificate = facts.certificate(index);
    return {
      key,
      name: vhost.name,
      port: listener?.port ?? vhost.port ?? 0,
      secure: vhost["host-ssl-cert"] !== undefined,
      sts: vhost.sts !== false,
      ...(certificate && { certificate }),
      mounts: vhost.mounts.map((mount) => ({
        mountpoint: mount.mountpoint,
        origin: formatOrigin(mount.origin),
        default: mount.default,
        cacheMaxAge: mount["cache-max-age"],
        cacheReuse: mount["cache-reuse"],
        cacheRevalidate: mount["cache-revalidate"],
        cacheIntermediaries: mount["cache-intermediaries"],
        ...programs(mountKey(key, mount.mountpoint)),
      })),
      protocols: vhost["ws-protocols"].map((protocol) => protocol.name),
      counters: totals.vhosts[key] ?? emptyVhostCounters(),
    };
  });
}
