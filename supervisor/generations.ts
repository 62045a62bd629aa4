// All generations that are alive: the one that serves, older ones that drain, a new one that starts. Bounded in number.

import { ConfigError } from "../config/problems.ts";
import type { LoadedConfig } from "../config/load.ts";
import type { Logger } from "../log/logger.ts";
import { createBalancer, NO_BALANCER, type Balancer } from "./balancer.ts";
import { Generation, type GenerationHost } from "./generation.ts";
import { GenerationError } from "./slot.ts";
import { launchGeneration } from "./launch.ts";
import type { Listeners } from "./listeners.ts";
import { drainLimitMs, KILL_GRACE_MS } from "./restart-policy.ts";
import type { TicketSecret } from "./tickets.ts";
import type { WorkerProcess } from "./worker-process.ts";
import { isBalanced } from "./worker-source.ts";

/** Generations alive at once; before one more the oldest has to go. */
const MAX_GENERATIONS = 4;

export type GenerationsOptions = {
  readonly version: string;
  readonly tickets: TicketSecret;
  readonly listeners: Listeners;
  readonly log: Logger;
  readonly events: Omit<GenerationHost["events"], "withdrawn" | "connections">;
  readonly onRestart: GenerationHost["onRestart"];
  readonly makeActivity: GenerationHost["makeActivity"];
};

/** The generations of one supervisor. */
export class Generations {
  readonly #options: GenerationsOptions;
  readonly #alive = new Set<Generation>();
  /** Those that still want their sockets. */
  readonly #listening = new Set<Generation>();
  /** Made for the first configuration that wants it. */
  #balancer: Balancer | undefined;
  #launched = 0;
  #workersStarted = 0;
  #state: "open" | "stopping" = "open";

  constructor(options: GenerationsOptions) {
    this.#options = options;
  }

  [Symbol.iterator](): Iterator<Generation> {
    return this.#alive[Symbol.iterator]();
  }

  *workers(): Iterable<WorkerProcess> {
    for (const generation of this.#alive) yield* generation.workers;
  }

  /** Brings up one more generation. Throws what launchGeneration throws, and GenerationError once stop() was called. */
  async launch(loaded: LoadedConfig, workers: number): Promise<Generation> {
    const { version, tickets, listeners, log } = this.#options;
    this.#launched += 1;
    if (loaded.config.global.distribution === "balanced") await this.#prepareBalancer(loaded);
    return launchGeneration(loaded, {
      number: this.#launched,
      workers,
      version,
      tickets,
      listeners,
      log,
      host: this.#host(),
      onCreated: (generation) => {
        this.#listening.add(generation);
        if (this.#state === "stopping") throw new GenerationError("The server stops");
        this.#alive.add(generation);
      },
      onServing: (generation) => {
        if (isBalanced(generation.spec)) this.#balancer?.open(generation);
      },
    });
  }

  /** Gives the current ticket secret to every worker, also of generations that drain: they took connections whose handshake is not done. */
  renewTickets(): void {
    for (const worker of this.workers()) worker.renewTickets(this.#options.tickets.current);
  }

  /** With too many alive the oldest but `current` loses its WebSockets, and its requests are waited for. True if it had to wait. */
  async makeRoom(current: Generation): Promise<boolean> {
    let hasWaited = false;
    while (this.#alive.size >= MAX_GENERATIONS) {
      const oldest = [...this.#alive].find((generation) => generation !== current);
      if (!oldest) return hasWaited;
      this.#options.log.info(
        `${MAX_GENERATIONS} generations are alive: waiting for generation ${oldest.number} to finish`,
      );
      hasWaited = true;
      oldest.shed();
      await oldest.gone;
    }
    return hasWaited;
  }

  /** Lets a generation finish what it has, within its drain-secs. */
  drain(generation: Generation): void {
    killAfter(generation, drainLimitMs(generation.spec.config), "did not drain in time");
    generation.drain();
    // Now, not when it is gone: an address that nobody wants any more would queue clients whom nobody accepts.
    this.#release(generation);
  }

  /** Ends all of them within `withinMs`; none can be launched any more. Resolves when the last is gone. */
  async stop(withinMs: number): Promise<void> {
    this.#state = "stopping";
    // Whoever connects from now on is refused rather than left waiting in a queue nobody serves.
    this.#balancer?.release();
    this.#options.listeners.closeAll();
    const gone = [...this.#alive].map((generation) => {
      killAfter(generation, withinMs + KILL_GRACE_MS, "did not stop in time");
      generation.stop(withinMs);
      return generation.gone;
    });
    await Promise.all(gone);
    this.#balancer?.close();
  }

  kill(reason: string): void {
    for (const generation of this.#alive) generation.kill(reason);
  }

  #release(generation: Generation): void {
    if (!this.#listening.delete(generation)) return;
    this.#balancer?.release(generation);
    this.#options.listeners.release(generation.spec.listeners);
  }

  async #prepareBalancer(loaded: LoadedConfig): Promise<void> {
    this.#balancer ??= await createBalancer(this.#options.log);
    if (this.#balancer) return;
    const place = { vhost: -1, path: "distribution", message: NO_BALANCER };
    throw new ConfigError([loaded.place(place)]);
  }

  #host(): GenerationHost {
    const { log, events, onRestart, makeActivity } = this.#options;
    return {
      log,
      events: {
        ...events,
        withdrawn: (worker) => this.#balancer?.withdraw(worker),
        connections: (worker, report) => this.#balancer?.report(worker, report),
        exit: (worker, exit) => {
          this.#balancer?.depart(worker);
          events.exit(worker, exit);
        },
      },
      onRestart,
      onJoined: (worker, generation) => {
        if (isBalanced(generation.spec)) this.#balancer?.enlist(worker, generation);
      },
      nextWorkerId: () => (this.#workersStarted += 1),
      makeActivity,
      makeHandover: () => this.#balancer?.makeHandover(),
      onGone: (generation) => {
        this.#alive.delete(generation);
        this.#release(generation);
        log.info(`Generation ${generation.number} is gone`);
      },
    };
  }
}

function killAfter(generation: Generation, ms: number, reason: string): void {
  const timer = setTimeout(() => generation.kill(reason), ms);
  void generation.gone.then(() => clearTimeout(timer));
}
