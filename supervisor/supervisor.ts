// The server as a whole: one configuration directory, the generation that serves it, reloads one after the other, the end.
// It never reads a byte that a client sent.

import type { LoadedConfig } from "../config/load.ts";
import { formatProblem, limitProblems } from "../config/problems.ts";
import { ACTIVITY_BYTES } from "../ipc/activity.ts";
import type { Board, BoardReload } from "../ipc/board.ts";
import type { Logger } from "../log/logger.ts";
import { createSharedFiles, type SharedFile } from "../posix/shared-file.ts";
import type { GivenSocket } from "./activation.ts";
import { hasInterface } from "./addresses.ts";
import { ChangeQueue } from "./change-queue.ts";
import type { Generation } from "./generation.ts";
import { Generations } from "./generations.ts";
import { describeConfig, describeListeners } from "./greeting.ts";
import { Listeners } from "./listeners.ts";
import { createLogFiles } from "./log-files.ts";
import { createOrphans, type Orphans } from "./orphans.ts";
import { refuse, type Outcome } from "./outcome.ts";
import { Renewals } from "./renewals.ts";
import { Switchboard } from "./switchboard.ts";
import { createUsageMeter } from "./usage.ts";
import { createWatchdog } from "./watchdog.ts";
import type { WorkerProcess } from "./worker-process.ts";
import {
  changeWorkers,
  countWorkersWanted,
  workersInWords,
  type WorkerChange,
} from "./workforce.ts";

/** Keys of "global" that hold from start to end. */
const LASTING_KEYS = ["pid-file", "control-socket"] as const;
const MS_PER_SEC = 1_000;
const TICK_MS = 1_000;
/** How often an interface that does not exist is looked for. */
const INTERFACE_RETRY_MS = 30_000;

export type SupervisorOptions = {
  /** Reads the configuration as it is now. Throws ConfigError. */
  readonly load: () => Promise<LoadedConfig>;
  readonly version: string;
  readonly log: Logger;
  /** Number of workers; wins over "count-threads". */
  readonly workers: number | undefined;
  /** Sockets that were opened for us. */
  readonly givenSockets?: readonly GivenSocket[];
  /** The process has children of its own: it must not take them for CGI programs that a worker left behind. */
  readonly sharesProcess?: true;
  /** Told when a reload begins and ends, however it ends, and when the server begins to stop. */
  readonly onPhase?: (phase: "serving" | "reloading" | "stopping") => void;
};

type State = "starting" | "running" | "stopping" | "ended";

/** One server: start() once, reload() and reopen() at will, stop(). */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #log: Logger;
  readonly #startedAt = Date.now();
  readonly #listeners: Listeners;
  readonly #generations: Generations;
  readonly #switchboard: Switchboard;
  readonly #renewals: Renewals;
  readonly #usage = createUsageMeter();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #ended = Promise.withResolvers<void>();
  #state: State = "starting";
  #loaded: LoadedConfig;
  #current: Generation | undefined;
  #orphans: Orphans | undefined;
  #makeActivity: (() => SharedFile | undefined) | undefined;
  #lastReload: BoardReload | undefined;
  readonly #changes = new ChangeQueue(this.#ended.promise);
  #scaledTo: number | undefined;

  constructor(loaded: LoadedConfig, options: SupervisorOptions) {
    this.#loaded = loaded;
    this.#options = options;
    this.#log = options.log;
    this.#listeners = new Listeners(options.givenSockets);
    this.#renewals = new Renewals(options.log, () => this.#generations.renewTickets());
    this.#switchboard = new Switchboard({
      log: options.log,
      status: () => (this.#state === "running" ? this.status() : undefined),
      mendLogs: () => void this.reopen(),
      onExit: (worker) => this.#killLeftBehind(worker),
    });
    this.#generations = new Generations({
      version: options.version,
      tickets: this.#renewals.tickets,
      listeners: this.#listeners,
      log: options.log,
      events: this.#switchboard.events,
      onRestart: (worker, why) => this.#switchboard.board.countRestart(worker, why),
      makeActivity: () => this.#makeActivity?.(),
    });
  }

  /** Resolves when the server has ended and every worker is gone. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Serves. Throws ConfigError, BindError or GenerationError when it cannot; returns as well when it was stopped meanwhile. */
  async start(): Promise<void> {
    const starting = this.#begin();
    this.#changes.begin(starting);
    try {
      await starting;
    } catch (error) {
      if (this.#isStopping()) return this.ended;
      throw error;
    }
  }

  /** Replaces the configuration without losing a connection. Calls that come meanwhile share one more reload. */
  reload(): Promise<Outcome> {
    return this.#changes.runReload(() => this.#reloadOnce());
  }

  /** Replaces workers that serve, or changes their number; the number holds for later generations too. */
  changeWorkers(change: WorkerChange): Promise<Outcome> {
    return this.#changes.run(async () => {
      const current = this.#current;
      if (this.#state !== "running" || !current)
        return { ok: false, message: "The server is not running" };
      try {
        const message = await changeWorkers(current, change);
        if (change.kind === "scale") this.#scaledTo = change.count;
        this.#log.info(message);
        return { ok: true, message };
      } catch (error) {
        if (this.#isStopping()) return { ok: false, message: "The server stopped meanwhile" };
        return refuse(this.#log, `Cannot ${change.kind}`, error).outcome;
      }
    });
  }

  /** Opens the log files again, after they were renamed. */
  reopen(): Outcome {
    try {
      createLogFiles(this.#loaded, this.#current?.spec.user);
    } catch (error) {
      return refuse(this.#log, "Logs not reopened", error).outcome;
    }
    for (const worker of this.#generations.workers()) worker.reopen();
    return { ok: true, message: "Logs reopened" };
  }

  /** Ends the server within stop-secs. A second call ends it at once. */
  stop(reason: string): void {
    if (this.#state === "ended") return;
    if (this.#state === "stopping") {
      this.#generations.kill("Second request to stop");
      return;
    }
    this.#state = "stopping";
    this.#log.info(`Stopping (${reason})`);
    this.#options.onPhase?.("stopping");
    const withinMs = this.#loaded.config.global["stop-secs"] * MS_PER_SEC;
    void this.#generations
      .stop(withinMs)
      .then(() => this.#switchboard.stop())
      .then(() => this.#finish());
  }

  /** The first generation serves, or did. */
  get hasServed(): boolean {
    return this.#current !== undefined;
  }

  /** Only once hasServed. */
  status(): Board {
    const current = this.#current;
    if (!current) throw new Error("Not started");
    return this.#switchboard.board.snapshot({
      version: this.#options.version,
      startedAt: this.#startedAt,
      config: this.#loaded.config,
      generation: current.number,
      listeners: current.spec.listeners.listeners,
      missing: current.spec.listeners.missing,
      generations: this.#generations,
      certificate: (vhost) => this.#renewals.describe(vhost),
      usage: (pid) => this.#usage.of(pid),
      lastReload: this.#lastReload,
      nats: this.#switchboard.nats,
    });
  }

  async #begin(): Promise<void> {
    const { sharesProcess = false } = this.#options;
    this.#orphans = sharesProcess ? undefined : await createOrphans();
    if (!this.#orphans && !sharesProcess)
      this.#log.info("No subreaper here: CGI children of a worker that dies are left to init");
    this.#makeActivity = await createSharedFiles(ACTIVITY_BYTES);
    const watchdog = createWatchdog({
      workers: () => this.#generations.workers(),
      limitMs: () => this.#loaded.config.global["watchdog-secs"] * MS_PER_SEC,
      onSilent: (worker, silentMs) =>
        worker.kill(`silent for ${Math.round(silentMs / MS_PER_SEC)} s${worker.whereabouts}`),
    });
    void this.ended.then(() => watchdog.stop());
    this.#adopt(await this.#launch(this.#loaded), this.#loaded);
    this.#state = "running";
    this.#timers.push(
      setInterval(() => void this.#tick(), TICK_MS),
      setInterval(() => this.#retryInterfaces(), INTERFACE_RETRY_MS),
    );
  }

  async #reloadOnce(): Promise<Outcome> {
    const previous = this.#current;
    if (this.#state !== "running" || !previous)
      return { ok: false, message: "The server is not running" };
    this.#options.onPhase?.("reloading");
    try {
      let loaded = await this.#options.load();
      // The wait may be long; what is served afterwards is what stands in the files then.
      if (await this.#generations.makeRoom(previous)) loaded = await this.#options.load();
      for (const key of LASTING_KEYS)
        if (loaded.config.global[key] !== this.#loaded.config.global[key])
          this.#log.warn(`"${key}" was changed: that takes effect when the server is started anew`);
      const next = await this.#launch(loaded);
      if (this.#isStopping()) return { ok: false, message: "The server stopped meanwhile" };
      this.#adopt(next, loaded);
      this.#generations.drain(previous);
      const warnings = loaded.remarks.filter(({ severity }) => severity === "warning");
      const lines = limitProblems(warnings).map((remark) => `warning: ${formatProblem(remark)}`);
      const message = [`Generation ${next.number} serves`, ...lines].join("\n");
      return this.#noteReload({ ok: true, message }, []);
    } catch (error) {
      if (this.#isStopping()) return { ok: false, message: "The server stopped meanwhile" };
      const what = `Reload refused, generation ${previous.number} serves on`;
      const { outcome, lines } = refuse(this.#log, what, error);
      return this.#noteReload(outcome, lines);
    } finally {
      if (!this.#isStopping()) this.#options.onPhase?.("serving");
    }
  }

  #launch(loaded: LoadedConfig): Promise<Generation> {
    for (const remark of limitProblems(loaded.remarks))
      this.#log[remark.severity === "warning" ? "warn" : "info"](formatProblem(remark));
    this.#switchboard.board.know(loaded.config);
    return this.#generations.launch(
      loaded,
      this.#scaledTo ?? countWorkersWanted(this.#options.workers, loaded.config, this.#log),
    );
  }

  /** From now on this generation is the one that serves. */
  #adopt(generation: Generation, loaded: LoadedConfig): void {
    this.#current = generation;
    this.#loaded = loaded;
    this.#switchboard.adopt(loaded);
    this.#renewals.adopt(generation, loaded);
    for (const line of describeListeners(generation.spec.listeners, loaded.config))
      this.#log.info(line);
    for (const line of describeConfig(loaded.config)) this.#log.info(line);
    const count = generation.spec.workers;
    this.#log.info(
      { event: "serving", generation: generation.number },
      `Portico ${this.#options.version} serves with ${workersInWords(count)} (generation ${generation.number})`,
    );
  }

  // A method, because the state changes while others wait.
  #isStopping(): boolean {
    return this.#state === "stopping" || this.#state === "ended";
  }

  #noteReload(outcome: Outcome, problems: readonly string[]): Outcome {
    this.#lastReload = {
      at: Date.now(),
      outcome: outcome.ok ? "ok" : "failed",
      generation: this.#current?.number ?? 0,
      message: outcome.message.split("\n")[0] ?? "",
      problems,
    };
    return outcome;
  }

  #killLeftBehind(worker: WorkerProcess): void {
    const killed = this.#orphans?.killNewcomers() ?? 0;
    if (killed > 0)
      this.#log.warn(
        { pid: worker.pid },
        `Killed ${killed} CGI process group${killed === 1 ? "" : "s"} that a worker left`,
      );
  }

  #finish(): void {
    this.#state = "ended";
    for (const timer of this.#timers) clearInterval(timer);
    this.#renewals.stop();
    this.#listeners.closeAll();
    this.#ended.resolve();
  }

  async #tick(): Promise<void> {
    this.#orphans?.sweep();
    this.#switchboard.board.tick((pid) => this.#usage.of(pid));
    this.#renewals.tick(this.#loaded);
    await this.#usage.refresh([...this.#generations.workers()].map((worker) => worker.pid));
    this.#switchboard.show();
  }

  #retryInterfaces(): void {
    if (this.#current?.spec.listeners.missing.some(hasInterface)) void this.reload();
  }
}
