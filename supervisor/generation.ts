// The N workers that run one configuration, from their start to the exit of the last one. While it serves, a worker
// that dies is replaced in its slot.

import type { Logger } from "../log/logger.ts";
import type { ProvisionProblem } from "../config/problems.ts";
import type { GenerationState } from "../ipc/board.ts";
import type { VhostSecrets } from "../ipc/messages.ts";
import { Progress } from "./progress.ts";
import { drainLimitMs, drainMs, nextRestart } from "./restart-policy.ts";
import { describeExit, emptySlot, GenerationError, type Slot } from "./slot.ts";
import type { WorkerExit, WorkerProcess } from "./worker-process.ts";
import { WorkerSource, type GenerationSpec, type WorkerHost } from "./worker-source.ts";

const ORDER: readonly GenerationState[] = [
  "starting",
  "ready",
  "serving",
  "draining",
  "stopping",
  "gone",
];

/** What a generation needs from the server around it. */
export type GenerationHost = WorkerHost & {
  readonly log: Logger;
  /** A worker that served is replaced. */
  readonly onRestart: (worker: WorkerProcess, why: string) => void;
  /** A worker has joined a generation that serves already. */
  readonly onJoined: (worker: WorkerProcess, generation: Generation) => void;
  /** The last worker has gone. */
  readonly onGone: (generation: Generation) => void;
};

/** Workers of one slot that may finish what they have at one time; before one more the oldest has to go. */
const MAX_DRAINING = 3;

/** One generation. */
export class Generation {
  readonly spec: GenerationSpec;
  readonly startedAt = Date.now();
  readonly #host: GenerationHost;
  readonly #slots: Slot[];
  /** Everyone alive, also a worker that leaves while its replacement already runs. */
  readonly #workers = new Set<WorkerProcess>();
  readonly #source: WorkerSource;
  #state: GenerationState = "starting";
  readonly #gone = Promise.withResolvers<void>();
  /** Of whichever worker ends next. */
  #nextExit = Promise.withResolvers<void>();
  /** What the workers were last told: whether each of them serves. */
  #toldHealth = false;
  readonly #progress = new Progress();

  constructor(spec: GenerationSpec, host: GenerationHost) {
    this.spec = spec;
    this.#host = host;
    this.#source = new WorkerSource(spec, host);
    this.#slots = Array.from({ length: spec.workers }, (_, index) => emptySlot(index));
  }

  get number(): number {
    return this.spec.number;
  }

  get state(): GenerationState {
    return this.#state;
  }

  /** Resolves when the last worker has gone. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** How many workers are wanted. */
  get size(): number {
    return this.#slots.length;
  }

  get workers(): ReadonlySet<WorkerProcess> {
    return this.#workers;
  }

  /** Starts all workers; resolves when each is ready. Rejects with GenerationError at the first that cannot be. */
  async start(): Promise<void> {
    const ready = this.#until("ready", () =>
      this.#slots.every((slot) => slot.current?.state === "ready"),
    );
    for (const slot of this.#slots) this.#spawn(slot);
    await ready;
    this.#source.endFirst();
    this.#enter("ready");
  }

  /** Lets all workers listen; resolves when each does. Rejects with GenerationError, such as for an address in use. */
  async open(): Promise<void> {
    const serving = this.#until("serving", () =>
      this.#slots.every((slot) => slot.current?.state === "serving"),
    );
    for (const slot of this.#slots) slot.current?.open();
    if (this.#slots.some((slot) => slot.current === undefined))
      this.#progress.fail(new GenerationError("A worker died before it served"));
    await serving;
    this.#enter("serving");
    this.#tellHealth();
  }

  /** The slot a worker serves in; undefined for one that does not, or not any more. */
  slotOf(id: number): number | undefined {
    return this.#slots.find(({ current }) => current?.id === id)?.index;
  }

  /** A new worker takes a slot; the one before serves until it can, then finishes what it has. Rejects with GenerationError. */
  async replace(index: number): Promise<void> {
    const slot = this.#slots[index];
    if (!slot) throw new GenerationError(`There is no slot ${index}`);
    await this.#makeRoom(index);
    await this.#succeed(slot);
  }

  /** Adds workers, all or none, or lets the last ones finish what they have. Rejects with GenerationError. */
  async resize(size: number): Promise<void> {
    for (const slot of this.#slots.splice(size)) {
      clearTimeout(slot.timer);
      if (slot.current) this.#release(slot.current);
      slot.current = undefined;
    }
    const added: Slot[] = [];
    for (let index = this.#slots.length; index < size; index += 1) added.push(emptySlot(index));
    try {
      for (const { index } of added) await this.#makeRoom(index);
      await Promise.all(added.map((slot) => this.#succeed(slot)));
    } catch (error) {
      for (const slot of added) {
        slot.successor?.worker.stop(0);
        if (slot.current) this.#release(slot.current);
        slot.current = undefined;
      }
      throw error;
    }
    this.#slots.push(...added);
    this.#tellHealth();
  }

  /** A newer generation serves: accept no more, finish what is there. */
  drain(): void {
    this.#enter("draining");
    this.#cancelRestarts();
    const withinMs = drainMs(this.spec.config);
    for (const worker of this.#workers) worker.drain(withinMs);
    this.#checkGone();
  }

  /** WebSockets of a draining generation end now. */
  shed(): void {
    for (const worker of this.#workers) worker.shed();
  }

  /** The server ends, or this generation is undone: finish within `withinMs`. */
  stop(withinMs: number): void {
    this.#enter("stopping");
    this.#cancelRestarts();
    for (const worker of this.#workers) worker.stop(withinMs);
    this.#progress.fail(new GenerationError("Stopped before it served"));
    this.#checkGone();
  }

  /** Other certificates for some vhosts, in all workers and in those that will replace them. */
  renewCertificates(renewed: readonly VhostSecrets[]): void {
    this.#source.renewCertificates(renewed);
    for (const worker of this.#workers) worker.renewCertificates(renewed);
  }

  get secrets(): readonly VhostSecrets[] {
    return this.#source.secrets;
  }

  kill(reason: string): void {
    for (const worker of this.#workers) worker.kill(reason);
  }

  #spawn(slot: Slot): void {
    slot.timer = undefined;
    slot.current = this.#start(slot);
  }

  #start(slot: Slot): WorkerProcess {
    const worker = this.#source.start(slot.index, {
      ready: (ready) => this.#ready(ready),
      rejected: (rejected, problems) => this.#rejected(rejected, problems),
      serving: (serving) => this.#serving(slot, serving),
      leaving: (leaving, reason) => this.#leaving(slot, leaving, reason),
      exit: (gone, exit) => this.#exited(slot, gone, exit),
    });
    this.#workers.add(worker);
    return worker;
  }

  #ready(worker: WorkerProcess): void {
    this.#progress.check();
    // A replacement joins a generation that is past its start.
    if (this.#state === "serving") worker.open();
  }

  #serving(slot: Slot, worker: WorkerProcess): void {
    this.#progress.check();
    if (this.#state === "serving") this.#host.onJoined(worker, this);
    if (slot.successor?.worker === worker) {
      const { successor, current } = slot;
      slot.successor = undefined;
      slot.current = worker;
      if (current) this.#release(current);
      successor.resolve();
    }
    this.#tellHealth(worker);
  }

  /** Tells all workers whether each of them serves, when that changed, and `newcomer` in any case. */
  #tellHealth(newcomer?: WorkerProcess): void {
    const allServe =
      this.#state === "serving" && this.#slots.every((slot) => slot.current?.state === "serving");
    const hasChanged = allServe !== this.#toldHealth;
    this.#toldHealth = allServe;
    for (const worker of this.#workers)
      if (worker.state === "serving" && (hasChanged || worker === newcomer))
        worker.tell("health", { allServe });
  }

  #succeed(slot: Slot): Promise<void> {
    if (this.#state !== "serving") return Promise.reject(new GenerationError("It serves no more"));
    clearTimeout(slot.timer);
    return new Promise((resolve, reject) => {
      slot.successor = { worker: this.#start(slot), resolve, reject };
    });
  }

  /** Waits until few enough workers of a slot are finishing; the oldest loses its WebSockets for it. */
  async #makeRoom(index: number): Promise<void> {
    for (;;) {
      const finishing = [...this.#workers].filter(
        (worker) => worker.slot === index && worker.state === "draining",
      );
      const [oldest] = finishing;
      if (!oldest || finishing.length < MAX_DRAINING) return;
      oldest.shed();
      await this.#nextExit.promise;
    }
  }

  /** Lets one worker finish what it has while the others serve on. */
  #release(worker: WorkerProcess): void {
    worker.drain(drainMs(this.spec.config));
    setTimeout(() => worker.kill("did not drain in time"), drainLimitMs(this.spec.config)).unref();
  }

  #rejected(worker: WorkerProcess, problems: readonly ProvisionProblem[]): void {
    const message = problems.map((problem) => problem.message).join("; ");
    if (this.#progress.isAwaited)
      this.#progress.fail(
        new GenerationError(`Worker ${worker.slot} refused: ${message}`, problems),
      );
    else worker.kill(`refused to replace another: ${message}`);
  }

  #leaving(slot: Slot, worker: WorkerProcess, reason: string): void {
    this.#host.log.warn({ worker: worker.slot, pid: worker.pid }, `Worker leaves: ${reason}`);
    if (slot.current === worker && this.#state === "serving") this.#restart(slot, worker, reason);
  }

  #exited(slot: Slot, worker: WorkerProcess, exit: WorkerExit): void {
    this.#workers.delete(worker);
    this.#host.events.exit(worker, exit);
    this.#nextExit.resolve();
    this.#nextExit = Promise.withResolvers();
    const why = describeExit(exit);
    this.#progress.fail(
      new GenerationError(`Worker ${worker.slot} ended before it served (${why})`),
    );
    if (slot.successor?.worker === worker) {
      const { reject } = slot.successor;
      slot.successor = undefined;
      reject(new GenerationError(`A new worker ended before it served (${why})`));
      // The one it was to follow has died meanwhile.
      const isVacant = slot.current === undefined && this.#slots.includes(slot);
      if (isVacant && this.#state === "serving") this.#restart(slot, worker, why);
    }
    const place = { worker: worker.slot, pid: worker.pid };
    const wasNeeded = slot.current === worker && this.#state === "serving";
    if (slot.current === worker) slot.current = undefined;
    if (wasNeeded) {
      this.#host.log.error(place, `Worker died (${why})`);
      this.#restart(slot, worker, why);
    } else if (exit.signal && worker.servedAt !== undefined && this.#state !== "stopping")
      // Whatever it was still at is lost.
      this.#host.log.warn(place, `Worker died (${why}) while it finished`);
    this.#checkGone();
  }

  #restart(slot: Slot, previous: WorkerProcess, why: string): void {
    slot.current = undefined;
    this.#tellHealth();
    this.#host.onRestart(previous, why);
    // Somebody is on the way already.
    if (slot.successor) return;
    slot.delayMs = nextRestart(slot.delayMs, Date.now() - previous.startedAt);
    slot.timer = setTimeout(() => this.#spawn(slot), slot.delayMs);
  }

  #cancelRestarts(): void {
    for (const slot of this.#slots) clearTimeout(slot.timer);
  }

  #until(goal: string, done: () => boolean): Promise<void> {
    return this.#progress.until(goal, this.spec.config.global["ready-secs"], done);
  }

  #enter(state: GenerationState): void {
    if (ORDER.indexOf(state) > ORDER.indexOf(this.#state)) this.#state = state;
  }

  #checkGone(): void {
    if (this.#workers.size > 0 || this.#state === "gone") return;
    if (this.#state !== "draining" && this.#state !== "stopping") return;
    this.#enter("gone");
    this.#host.onGone(this);
    this.#gone.resolve();
  }
}
