// The server as a whole: one configuration directory, the generation that serves it, older ones that drain.
// It never reads a byte that a client sent.

import { availableParallelism } from "node:os";
import { loadConfig, type LoadedConfig } from "../config/load.ts";
import { formatProblem } from "../config/problems.ts";
import type { Board, BoardReload } from "../ipc/stats.ts";
import type { Logger } from "../log/logger.ts";
import { hasInterface } from "./addresses.ts";
import { createBusBroker } from "./bus-broker.ts";
import type { Generation, GenerationHost } from "./generation.ts";
import { describeConfig, describeListeners } from "./greeting.ts";
import { explainFailure, launchGeneration } from "./launch.ts";
import { Listeners } from "./listeners.ts";
import { createLogFiles } from "./log-files.ts";
import { createOrphans, type Orphans } from "./orphans.ts";
import { createTicketKeys } from "./secrets.ts";
import { StatsBoard } from "./stats-board.ts";
import { createUsageMeter } from "./usage.ts";
import { createWatchdog } from "./watchdog.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** Generations alive at once; before one more the oldest has to go. */
const MAX_GENERATIONS = 4;
const TICK_MS = 1_000;
/** How often an interface that does not exist is looked for. */
const INTERFACE_RETRY_MS = 30_000;
/** Beyond its own limits a worker gets this long before it is killed. */
const KILL_GRACE_MS = 2_000;
/** Time over which a draining worker spreads the end of its WebSockets, see worker/drain.ts. */
const DRAIN_SPREAD_MS = 10_000;

export type SupervisorOptions = {
  readonly directory: string;
  readonly version: string;
  readonly log: Logger;
  /** Number of workers; wins over "count-threads". */
  readonly workers: number | undefined;
};

export type ReloadOutcome = { readonly ok: boolean; readonly message: string };
type State = "starting" | "running" | "stopping" | "ended";

/** One server. start() once, then reload() and reopen() at will, stop() once. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #log: Logger;
  readonly #listeners = new Listeners();
  readonly #board = new StatsBoard();
  readonly #usage = createUsageMeter();
  readonly #broker = createBusBroker((worker) =>
    this.#log.warn({ pid: worker.pid }, "Bus message dropped: worker reads too slowly"),
  );
  readonly #ticketKeys = createTicketKeys();
  readonly #generations = new Set<Generation>();
  readonly #watchers = new Set<WorkerProcess>();
  readonly #startedAt = Date.now();
  readonly #timers: NodeJS.Timeout[] = [];
  #state: State = "starting";
  #orphans: Orphans | undefined;
  #loaded: LoadedConfig | undefined;
  #current: Generation | undefined;
  #generationCount = 0;
  #workerCount = 0;
  #lastReload: BoardReload | undefined;
  #runningReload: Promise<ReloadOutcome> | undefined;
  #nextReload: Promise<ReloadOutcome> | undefined;
  #ended = Promise.withResolvers<void>();

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  /** Resolves when the server has ended and every worker is gone. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Serves `loaded`. Throws ConfigError, BindError or GenerationError when it cannot. */
  async start(loaded: LoadedConfig): Promise<void> {
    this.#orphans = await createOrphans();
    if (!this.#orphans)
      this.#log.info("No subreaper here: CGI children of a worker that dies are left to init");
    this.#current = await this.#launch(loaded);
    this.#loaded = loaded;
    const watchdog = createWatchdog({
      workers: () => this.#workers(),
      limitMs: () => this.#config().global["watchdog-secs"] * 1000,
      onSilent: (worker, silentMs) => worker.kill(`silent for ${Math.round(silentMs / 1000)} s`),
    });
    void this.ended.then(() => watchdog.stop());
    this.#timers.push(
      setInterval(() => void this.#tick(), TICK_MS),
      setInterval(() => this.#retryInterfaces(), INTERFACE_RETRY_MS),
    );
    this.#state = "running";
    this.#greet(this.#current, loaded);
  }

  /** Replaces the configuration without losing a connection. Calls that come meanwhile share one more reload. */
  reload(): Promise<ReloadOutcome> {
    this.#nextReload ??= (this.#runningReload ?? Promise.resolve()).then(() => {
      this.#nextReload = undefined;
      this.#runningReload = this.#reloadOnce();
      return this.#runningReload;
    });
    return this.#nextReload;
  }

  /** Opens the log files again, after they were renamed. */
  async reopen(): Promise<ReloadOutcome> {
    try {
      if (this.#loaded) createLogFiles(this.#loaded, this.#current?.spec.user);
    } catch (error) {
      const { message, problems } = explainFailure(error);
      for (const problem of problems) this.#log.error(formatProblem(problem));
      return { ok: false, message: [message, ...problems.map(formatProblem)].join("\n") };
    }
    for (const worker of this.#workers()) worker.reopen();
    return { ok: true, message: "Logs reopened" };
  }

  /** Ends the server within stop-secs. A second call ends it at once. */
  stop(reason: string): void {
    if (this.#state === "ended") return;
    if (this.#state === "stopping") {
      for (const generation of this.#generations) generation.kill("Second request to stop");
      return;
    }
    this.#state = "stopping";
    const withinMs = this.#config().global["stop-secs"] * 1000;
    this.#log.info(`Stopping (${reason})`);
    // Whoever connects from now on is refused rather than left waiting in a queue nobody serves.
    this.#listeners.closeAll();
    for (const generation of this.#generations) generation.stop(withinMs);
    const timer = setTimeout(() => {
      for (const generation of this.#generations) generation.kill("Did not stop in time");
    }, withinMs + KILL_GRACE_MS);
    void this.ended.then(() => clearTimeout(timer));
    if (this.#generations.size === 0) this.#finish();
  }

  status(): Board {
    const current = this.#current;
    if (!current) throw new Error("Not started");
    return this.#board.snapshot({
      version: this.#options.version,
      startedAt: this.#startedAt,
      config: this.#config(),
      generation: current.number,
      listeners: current.spec.listeners.listeners,
      missing: current.spec.listeners.missing,
      generations: this.#generations,
      usage: (pid) => this.#usage.of(pid),
      lastReload: this.#lastReload,
    });
  }

  async #launch(loaded: LoadedConfig): Promise<Generation> {
    for (const remark of loaded.remarks)
      this.#log[remark.severity === "warning" ? "warn" : "info"](formatProblem(remark));
    this.#generationCount += 1;
    return launchGeneration(loaded, {
      number: this.#generationCount,
      workers: this.#workersWanted(loaded),
      version: this.#options.version,
      ticketKeys: this.#ticketKeys,
      listeners: this.#listeners,
      log: this.#log,
      host: this.#generationHost(),
      onCreated: (generation) => this.#generations.add(generation),
    });
  }

  #workersWanted(loaded: LoadedConfig): number {
    const cores = availableParallelism();
    const configured = loaded.config.global["count-threads"];
    const wanted = this.#options.workers ?? configured ?? cores;
    if (wanted === 1 && cores > 1 && this.#options.workers === undefined)
      this.#log.info(
        `"count-threads" is 1: one worker on a host with ${cores} cores. Leave the key out for one per core`,
      );
    return wanted;
  }

  async #reloadOnce(): Promise<ReloadOutcome> {
    const previous = this.#current;
    if (this.#state !== "running" || !previous)
      return { ok: false, message: "The server is not running" };
    try {
      const loaded = await loadConfig(this.#options.directory);
      await this.#makeRoom();
      const next = await this.#launch(loaded);
      if (!this.#isRunning()) return { ok: false, message: "The server stopped meanwhile" };
      this.#current = next;
      this.#loaded = loaded;
      this.#drain(previous);
      this.#greet(next, loaded);
      return this.#noteReload({ ok: true, message: `Generation ${next.number} serves` }, []);
    } catch (error) {
      const { message, problems } = explainFailure(error);
      const lines = problems.map(formatProblem);
      for (const line of lines) this.#log.error(line);
      this.#log.error(`Reload refused, generation ${previous.number} serves on: ${message}`);
      return this.#noteReload({ ok: false, message: [message, ...lines].join("\n") }, lines);
    }
  }

  // A method, because the state changes while reload waits.
  #isRunning(): boolean {
    return this.#state === "running";
  }

  #noteReload(outcome: ReloadOutcome, problems: readonly string[]): ReloadOutcome {
    this.#lastReload = {
      at: Date.now(),
      outcome: outcome.ok ? "ok" : "failed",
      generation: this.#current?.number ?? 0,
      message: outcome.message.split("\n")[0] ?? "",
      problems,
    };
    return outcome;
  }

  /** With too many generations alive the oldest loses its WebSockets, and its requests are waited for. */
  async #makeRoom(): Promise<void> {
    while (this.#generations.size >= MAX_GENERATIONS) {
      const [oldest] = this.#generations;
      if (!oldest) return;
      this.#log.info(
        `${MAX_GENERATIONS} generations are alive: waiting for generation ${oldest.number} to finish`,
      );
      oldest.shed();
      await oldest.gone;
    }
  }

  #drain(generation: Generation): void {
    const { global, vhosts } = generation.spec.config;
    const longestSecs = Math.max(
      global["drain-secs"],
      ...vhosts.map((vhost) => vhost["drain-secs"] ?? 0),
    );
    const limitMs =
      longestSecs * 1000 + DRAIN_SPREAD_MS + global["stop-secs"] * 1000 + KILL_GRACE_MS;
    const timer = setTimeout(() => generation.kill("Did not drain in time"), limitMs);
    void generation.gone.then(() => clearTimeout(timer));
    generation.drain();
  }

  #generationHost(): GenerationHost {
    return {
      log: this.#log,
      nextWorkerId: () => (this.#workerCount += 1),
      onRestart: () => this.#board.countRestart(),
      onGone: (generation) => this.#generationGone(generation),
      events: {
        sample: (worker, sample, last) => this.#board.record(worker, sample, last),
        watch: (worker, on) => this.#watch(worker, on),
        subscribe: (worker, topic, on) => this.#broker.subscribe(worker, topic, on),
        publish: (worker, topic, data) => this.#broker.publish(worker, topic, data),
        reopened: (worker, failed) => {
          for (const message of failed)
            this.#log.error({ worker: worker.slot, pid: worker.pid }, message);
        },
        exit: (worker) => {
          this.#board.depart(worker);
          this.#broker.depart(worker);
          this.#watchers.delete(worker);
          const killed = this.#orphans?.killNewcomers() ?? 0;
          if (killed > 0)
            this.#log.warn(
              { pid: worker.pid },
              `Killed ${killed} CGI process group${killed === 1 ? "" : "s"} that a worker left`,
            );
        },
      },
    };
  }

  #generationGone(generation: Generation): void {
    this.#generations.delete(generation);
    this.#listeners.release(generation.spec.listeners);
    if (this.#state !== "starting") this.#log.info(`Generation ${generation.number} is gone`);
    if (this.#state === "stopping" && this.#generations.size === 0) this.#finish();
  }

  #finish(): void {
    this.#state = "ended";
    for (const timer of this.#timers) clearInterval(timer);
    this.#usage.stop();
    this.#listeners.closeAll();
    this.#ended.resolve();
  }

  *#workers(): Iterable<WorkerProcess> {
    for (const generation of this.#generations) yield* generation.workers;
  }

  #config(): LoadedConfig["config"] {
    if (!this.#loaded) throw new Error("Not started");
    return this.#loaded.config;
  }

  async #tick(): Promise<void> {
    this.#orphans?.sweep();
    await this.#usage.refresh([...this.#workers()].map((worker) => worker.pid));
    if (this.#watchers.size === 0 || this.#state !== "running") return;
    const board = this.status();
    for (const worker of this.#watchers) if (!worker.congested) worker.tell("board", board);
  }

  #watch(worker: WorkerProcess, on: boolean): void {
    if (!on) this.#watchers.delete(worker);
    else if (this.#state === "running") {
      this.#watchers.add(worker);
      worker.tell("board", this.status());
    } else this.#watchers.add(worker);
  }

  #retryInterfaces(): void {
    const missing = this.#current?.spec.listeners.missing ?? [];
    if (missing.some(hasInterface)) void this.reload();
  }

  #greet(generation: Generation, loaded: LoadedConfig): void {
    for (const line of describeListeners(generation.spec.listeners, loaded.config))
      this.#log.info(line);
    for (const line of describeConfig(loaded.config)) this.#log.info(line);
    const count = generation.spec.workers;
    this.#log.info(
      { event: "serving", generation: generation.number },
      `Portico ${this.#options.version} serves with ${count} worker${count === 1 ? "" : "s"} (generation ${generation.number})`,
    );
  }
}
