// The statistics of all workers as one board: what they have counted together, and how each that lives stands. A worker killed
// with -9 takes at most its last interval with it; that is counted.

import { protocolScope, vhostKey } from "../config/listeners.ts";
import type { ServerConfig } from "../config/server.ts";
import type {
  Board,
  BoardCertificate,
  BoardDeath,
  BoardListener,
  BoardNats,
  BoardReload,
  BoardVhost,
  HistoryGauges,
} from "../ipc/board.ts";
import {
  addGrowth,
  emptyGauges,
  emptyVhostCounters,
  LATENCY_BOUNDS_US,
  mountKey,
  type CgiCounters,
  type CgiGauges,
  type MountCounters,
  type Sample,
  type VhostCounters,
} from "../ipc/stats.ts";
import type { Generation } from "./generation.ts";
import { formatOrigin } from "./greeting.ts";
import { History } from "./history.ts";
import type { Listener } from "./listeners.ts";
import { emptyTally, Totals, type Tally } from "./totals.ts";
import type { ProcessUsage } from "./usage.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** Generations whose sums are kept: many more than are alive at a time. */
const MAX_GENERATIONS = 16;
/** Deaths that are remembered. */
const MAX_DEATHS = 10;
const MS_PER_SEC = 1_000;

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
  readonly nats: BoardNats | undefined;
};

/** What of a worker decides about its counts. */
export type CountedWorker = Pick<
  WorkerProcess,
  "id" | "slot" | "generation" | "pid" | "servedAt" | "kill"
>;

/** What was described already, for a configuration as it is served. */
type Described = {
  readonly of: readonly unknown[];
  readonly listeners: readonly BoardListener[];
  readonly vhosts: readonly BoardVhost[];
};

/** The board of one supervisor. */
export class StatsBoard {
  readonly #tallies = new Map<CountedWorker, Tally>();
  readonly #totals = new Totals();
  readonly #generations = new Map<number, VhostCounters>();
  readonly #left = new WeakSet<CountedWorker>();
  readonly #history = new History();
  #deaths: readonly BoardDeath[] = [];
  #samplesLost = 0;
  #restarts = 0;
  #described: Described | undefined;

  constructor() {
    this.tick(() => ({ cpuPercent: 0, memoryBytes: 0 }));
  }

  /** From now on workers may have this configuration. */
  know(config: ServerConfig): void {
    this.#totals.know(config);
  }

  /** What a worker says it has counted since it started. */
  record(worker: CountedWorker, sample: Sample, last: boolean): void {
    if (this.#left.has(worker)) return;
    let tally = this.#tallies.get(worker);
    if (!tally) this.#tallies.set(worker, (tally = emptyTally()));
    const fault = this.#totals.add(tally, sample, [this.#sumOf(worker.generation)]);
    if (fault !== undefined) return worker.kill(fault);
    if (!last) return;
    this.#left.add(worker);
    this.#forget(worker);
  }

  /** A worker is gone. If it served anybody, its last interval is lost without a final sample, and said to be. */
  depart(worker: CountedWorker): void {
    if (this.#left.has(worker)) return;
    if (worker.servedAt !== undefined) this.#samplesLost += 1;
    this.#forget(worker);
  }

  /** A worker that served is replaced, because of `why`. */
  countRestart({ id, slot, pid }: CountedWorker, why: string): void {
    this.#restarts += 1;
    const death = { at: Date.now(), worker: id, slot, pid, why };
    this.#deaths = [death, ...this.#deaths].slice(0, MAX_DEATHS);
  }

  /** A message that neither a worker nor another machine got. */
  countBusDrop(): void {
    this.#totals.counters.busDropped += 1;
  }

  /** Once a second: how things stand goes into the history. */
  tick(usage: BoardFacts["usage"]): void {
    this.#history.record(performance.now(), this.#totals.sum, this.#gauges(usage));
  }

  /** All that was noted, with times of the clock as it is now. */
  history(): ReturnType<History["rows"]> {
    return this.#history.rows(Date.now() - performance.now());
  }

  /** Everything as it stands now. What has not changed since the last time is the same object. */
  snapshot(facts: BoardFacts): Board {
    const generations = [...facts.generations];
    const { listeners, vhosts } = this.#describe(facts);
    return {
      version: facts.version,
      pid: process.pid,
      directory: facts.config.directory,
      startedAt: facts.startedAt,
      now: Date.now(),
      generation: facts.generation,
      restarts: this.#restarts,
      deaths: this.#deaths,
      samplesLost: this.#samplesLost,
      listeners,
      generations: generations.map((generation) => this.#describeGeneration(generation)),
      workers: generations.flatMap(({ workers }) =>
        [...workers].map((worker) => this.#describeWorker(worker, facts.usage)),
      ),
      vhosts,
      totals: copyOf(this.#totals.sum),
      counters: { ...this.#totals.counters },
      latencyBoundsUs: LATENCY_BOUNDS_US,
      recent: this.#history.windows(performance.now(), this.#totals.sum),
      lastReload: facts.lastReload,
      nats: facts.nats,
    };
  }

  #describe(facts: BoardFacts): Described {
    const { changed } = this.#totals;
    const of = [facts.config, facts.listeners, facts.missing];
    const before = this.#described;
    const isSame = before?.of.every((part, index) => part === of[index]) ?? false;
    const ports = isSame ? [] : portsOf(facts.listeners);
    const vhosts = facts.config.vhosts.map((vhost, index): BoardVhost => {
      const known = isSame ? before?.vhosts[index] : undefined;
      const certificate = facts.certificate(index);
      if (known && !changed.has(known.key) && isSameCertificate(known.certificate, certificate))
        return known;
      return this.#describeVhost(
        vhost,
        known?.port ?? ports[index] ?? vhost.port ?? 0,
        certificate,
      );
    });
    changed.clear();
    const listeners = isSame && before ? before.listeners : describeListeners(facts);
    return (this.#described = { of, listeners, vhosts });
  }

  #describeVhost(
    vhost: ServerConfig["vhosts"][number],
    port: number,
    certificate: BoardCertificate | undefined,
  ): BoardVhost {
    const key = vhostKey(vhost);
    const counters = this.#totals.vhosts.get(key);
    return {
      key,
      name: vhost.name,
      port,
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
        ...this.#describeMount(mountKey(key, mount.mountpoint)),
      })),
      protocols: vhost["ws-protocols"].map((protocol) => protocol.name),
      ...this.#describeProtocols(vhost),
      counters: counters ? copyOf(counters) : emptyVhostCounters(),
    };
  }

  /** What a mount has counted, and how its programs stand in all workers together. */
  #describeMount(key: string): { counters?: MountCounters; cgi?: CgiCounters & CgiGauges } {
    const { mounts, cgi } = this.#totals;
    const counters = mounts.get(key);
    const programs = cgi.get(key);
    const gauges: CgiGauges = { alive: 0, queued: 0 };
    if (programs)
      for (const { cgiGauges } of this.#tallies.values()) addGrowth(gauges, cgiGauges[key] ?? {});
    return {
      ...(counters && { counters: copyOf(counters) }),
      ...(programs && { cgi: { ...programs, ...gauges } }),
    };
  }

  #describeProtocols(vhost: ServerConfig["vhosts"][number]): Pick<BoardVhost, "protocolCounts"> {
    const counted = vhost["ws-protocols"].flatMap(({ name }) => {
      const sums = this.#totals.protocols.get(protocolScope(vhost, name));
      return sums ? [[name, Object.fromEntries(sums)] as const] : [];
    });
    return counted.length > 0 ? { protocolCounts: Object.fromEntries(counted) } : {};
  }

  #describeGeneration(generation: Generation): Board["generations"][number] {
    const { number, state, startedAt, workers } = generation;
    const ends = [...workers].flatMap(({ endsAt }) => endsAt ?? []);
    return {
      number,
      state,
      startedAt,
      ...(state !== "serving" && ends.length > 0 && { endsAt: Math.max(...ends) }),
      counters: copyOf(this.#sumOf(number)),
    };
  }

  #describeWorker(
    worker: WorkerProcess,
    usage: (pid: number) => ProcessUsage,
  ): Board["workers"][number] {
    const tally = this.#tallies.get(worker);
    return {
      id: worker.id,
      slot: worker.slot,
      generation: worker.generation,
      pid: worker.pid,
      state: worker.state,
      uptimeSecs: Math.round((Date.now() - worker.startedAt) / MS_PER_SEC),
      ...usage(worker.pid),
      ...(worker.endsAt !== undefined && { endsAt: worker.endsAt }),
      counters: tally ? copyOf(tally.sum) : emptyVhostCounters(),
      gauges: tally?.gauges ?? emptyGauges(),
    };
  }

  #gauges(usage: BoardFacts["usage"]): HistoryGauges {
    const sum: HistoryGauges = {
      openConnections: 0,
      openWebSockets: 0,
      activeRequests: 0,
      cpuPercent: 0,
      memoryBytes: 0,
      loopLagMs: 0,
    };
    for (const [worker, { gauges }] of this.#tallies) {
      const { cpuPercent, memoryBytes } = usage(worker.pid);
      sum.openConnections += gauges.openConnections;
      sum.openWebSockets += gauges.openWebSockets;
      sum.activeRequests += gauges.activeRequests;
      sum.cpuPercent += cpuPercent;
      sum.memoryBytes += memoryBytes;
      sum.loopLagMs = Math.max(sum.loopLagMs, gauges.loopLagMs);
    }
    return sum;
  }

  #sumOf(generation: number): VhostCounters {
    let sum = this.#generations.get(generation);
    if (sum) return sum;
    const [oldest] = this.#generations.keys();
    if (this.#generations.size >= MAX_GENERATIONS && oldest !== undefined)
      this.#generations.delete(oldest);
    this.#generations.set(generation, (sum = emptyVhostCounters()));
    return sum;
  }

  #forget(worker: CountedWorker): void {
    const tally = this.#tallies.get(worker);
    this.#tallies.delete(worker);
    if (tally) this.#totals.leave(tally);
  }
}

function copyOf<C extends VhostCounters | MountCounters>(counters: C): C {
  return { ...counters, latency: [...counters.latency] };
}

function isSameCertificate(
  one: BoardCertificate | undefined,
  other: BoardCertificate | undefined,
): boolean {
  return (
    one?.expiresAt === other?.expiresAt &&
    one?.daysLeft === other?.daysLeft &&
    one?.problem === other?.problem
  );
}

/** By the number of the vhost. */
function portsOf(listeners: readonly Listener[]): number[] {
  const ports: number[] = [];
  for (const listener of listeners)
    for (const index of indexesOf(listener)) ports[index] ??= listener.port;
  return ports;
}

function indexesOf({ vhosts, overrides }: Listener): number[] {
  return [...vhosts, ...overrides.flatMap((override) => override.vhosts)];
}

function describeListeners({ listeners, missing, config }: BoardFacts): BoardListener[] {
  return [
    ...listeners.map((listener): BoardListener => ({
      address: listener.bound,
      secure: listener.secure,
      vhosts: indexesOf(listener).map((index) => config.vhosts[index]?.name ?? ""),
      state: "open",
    })),
    ...missing.map((address): BoardListener => ({
      address,
      secure: false,
      vhosts: [],
      state: "waiting",
    })),
  ];
}
