// One worker: a child process with its inherited sockets and its channel, from spawn to exit.

import type { ChildProcess } from "node:child_process";
import type { Duplex } from "node:stream";
import { readActivity } from "../ipc/activity.ts";
import { createChannel, type Channel } from "../ipc/channel.ts";
import { FrameError } from "../ipc/frame.ts";
import type { WorkerState } from "../ipc/board.ts";
import { toSupervisor, toWorker, type ToSupervisor, type VhostSecrets } from "../ipc/messages.ts";
import type { Sample } from "../ipc/stats.ts";
import type { StoreChange } from "../ipc/store.ts";
import type { Handover } from "../posix/handover.ts";
import type { SharedFile } from "../posix/shared-file.ts";
import { channelStream, configurationFor, spawnWorker, type WorkerSpec } from "./worker-spawn.ts";

/** From a worker: statistics and bus messages. From us: a whole configuration with certificates. */
const MAX_FROM_WORKER_BYTES = 8 * 1024 * 1024;
const MAX_TO_WORKER_BYTES = 128 * 1024 * 1024;
export type WorkerExit = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly reason: string;
};

/** What the owner of a worker is told. Each is called in the order things happened; `exit` is the last. */
export type WorkerEvents = {
  /** Before it is configured: what it has to know then. */
  readonly connected: (worker: WorkerProcess) => void;
  readonly ready: (worker: WorkerProcess) => void;
  readonly rejected: (
    worker: WorkerProcess,
    problems: ToSupervisor["rejected"]["problems"],
  ) => void;
  readonly serving: (worker: WorkerProcess) => void;
  /** It takes no more connections: it drains, stops, leaves or is gone. */
  readonly withdrawn: (worker: WorkerProcess) => void;
  readonly connections: (worker: WorkerProcess, report: ToSupervisor["connections"]) => void;
  /** It leaves on its own account and wants to be replaced now. */
  readonly leaving: (worker: WorkerProcess, reason: string) => void;
  readonly sample: (worker: WorkerProcess, sample: Sample, last: boolean) => void;
  readonly watch: (worker: WorkerProcess, on: boolean) => void;
  readonly recall: (worker: WorkerProcess) => void;
  readonly subscribe: (worker: WorkerProcess, topic: string, on: boolean) => void;
  readonly publish: (worker: WorkerProcess, topic: string, data: Uint8Array) => void;
  readonly store: (worker: WorkerProcess, change: StoreChange) => void;
  readonly reopened: (worker: WorkerProcess, failed: readonly string[]) => void;
  /** It cannot make its log files anew. */
  readonly logsLost: () => void;
  readonly exit: (worker: WorkerProcess, exit: WorkerExit) => void;
};

/** A worker process. States: starting -> ready -> serving -> draining | stopping -> gone. */
export class WorkerProcess {
  readonly id: number;
  readonly slot: number;
  readonly generation: number;
  readonly startedAt = Date.now();
  /** Monotonic milliseconds of the last sign of life. */
  lastHeardAt = performance.now();
  readonly #child: ChildProcess | undefined;
  readonly #stream: Duplex;
  readonly #channel: Channel<typeof toWorker, typeof toSupervisor>;
  #state: WorkerState = "starting";
  readonly #activity: SharedFile | undefined;
  #handover: Handover | undefined;
  readonly #onWithdrawn: () => void;
  #endReason = "";
  #endsAt: number | undefined;
  #servedAt: number | undefined;

  constructor(spec: WorkerSpec, events: WorkerEvents) {
    this.#activity = spec.activity;
    this.#onWithdrawn = () => events.withdrawn(this);
    this.id = spec.worker;
    this.slot = spec.slot;
    this.generation = spec.generation;
    try {
      this.#handover = spec.makeHandover?.();
      if (spec.makeHandover && !this.#handover) throw new Error("no descriptors are left");
      this.#child = spawnWorker(spec, this.#handover);
      this.#child.once("error", (error) => this.#cannotStart(error, events));
      this.#child.once("exit", (code, signal) =>
        this.#exited({ code, signal, reason: this.#endReason }, events),
      );
    } catch (error) {
      // Some failures of spawn are thrown. Its owner hears of them as of the others, later.
      setImmediate(() => this.#cannotStart(error, events));
    }
    this.#stream = channelStream(this.#child);
    this.#channel = createChannel({
      stream: this.#stream,
      sends: toWorker,
      receives: toSupervisor,
      maxReceiveBytes: MAX_FROM_WORKER_BYTES,
      maxSendBytes: MAX_TO_WORKER_BYTES,
      onEnd: (error) => {
        // A worker that breaks the protocol is not asked again: it faces the network, we may be root.
        // A pipe that breaks otherwise is how a death shows first; the exit tells more.
        if (error instanceof FrameError) this.kill(`broken message: ${error.message}`);
        else if (error) this.kill("");
      },
    });
    this.#serve(events);
    // Later, so that all workers of a generation boot while a large configuration is encoded.
    setImmediate(() => {
      events.connected(this);
      this.#configure(spec);
    });
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get state(): WorkerState {
    return this.#state;
  }

  get congested(): boolean {
    return this.#channel.congested;
  }

  get backlogged(): boolean {
    return this.#channel.backlogged;
  }

  open(): void {
    this.#channel.send("open", {});
  }

  /** It finishes what it has, and what is left after `withinMs` is cut. */
  drain(withinMs: number): void {
    this.#enter("draining");
    this.#endWithin(withinMs);
    this.#channel.send("drain", {});
  }

  stop(withinMs: number): void {
    this.#enter("stopping");
    this.#endWithin(withinMs);
    this.#channel.send("stop", { withinMs });
  }

  /** Since when it accepts, or did, milliseconds since the epoch. */
  get servedAt(): number | undefined {
    return this.#servedAt;
  }

  /** When it is over at the latest, milliseconds since the epoch; undefined while it serves. */
  get endsAt(): number | undefined {
    return this.#endsAt;
  }

  #endWithin(ms: number): void {
    this.#endsAt = Math.min(this.#endsAt ?? Infinity, Date.now() + ms);
  }

  shed(): void {
    this.#channel.send("shed", {});
  }

  // Behind the configuration, which is sent later too.
  renewCertificates(secrets: readonly VhostSecrets[]): void {
    setImmediate(() => this.#channel.send("certificates", { secrets }));
  }

  renewTickets(secret: Uint8Array): void {
    setImmediate(() => this.#channel.send("tickets", { secret }));
  }

  reopen(): void {
    this.#channel.send("reopen", {});
  }

  tell: Channel<typeof toWorker, typeof toSupervisor>["send"] = (name, body) =>
    this.#channel.send(name, body);

  /** Offers it a connection; `fd` stays open. False when it has not taken enough of those before. */
  offer(id: number, listener: number, fd: number): boolean {
    return this.#state !== "gone" && this.#handover?.offer(id, listener, fd) === true;
  }

  /** Takes the oldest offer back that it has not taken; undefined when there is none. */
  takeBack(): number | undefined {
    return this.#state === "gone" ? undefined : this.#handover?.takeBack();
  }

  /** The plugin it is in the middle of, as " in …"; empty where nothing is known. */
  get whereabouts(): string {
    const name = this.#activity && readActivity(this.#activity.read());
    return name === undefined ? "" : ` in ${name}`;
  }

  /** SIGKILL; the exit event follows. */
  kill(reason: string): void {
    if (this.#state === "gone") return;
    this.#endReason ||= reason;
    this.#child?.kill("SIGKILL");
  }

  #configure(spec: WorkerSpec): void {
    try {
      this.#channel.send("configure", configurationFor(spec, this.#handover));
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.kill(`cannot take its configuration: ${error.message}`);
    }
  }

  #serve(events: WorkerEvents): void {
    this.#channel.serve({
      ready: () => {
        this.#enter("ready");
        events.ready(this);
      },
      rejected: ({ problems }) => events.rejected(this, problems),
      serving: () => {
        this.#enter("serving");
        this.#servedAt ??= Date.now();
        events.serving(this);
      },
      leaving: ({ reason }) => {
        this.#enter("stopping");
        this.#endReason ||= reason;
        events.leaving(this, reason);
      },
      heartbeat: () => {
        this.lastHeardAt = performance.now();
      },
      connections: (report) => events.connections(this, report),
      sample: ({ sample, last }) => events.sample(this, sample, last),
      reopened: ({ failed }) => events.reopened(this, failed),
      logsLost: () => events.logsLost(),
      watch: ({ on }) => events.watch(this, on),
      recall: () => events.recall(this),
      subscribe: ({ topic, on }) => events.subscribe(this, topic, on),
      publish: ({ topic, data }) => events.publish(this, topic, data),
      store: (change) => events.store(this, change),
    });
  }

  #cannotStart(error: unknown, events: WorkerEvents): void {
    const reason = `cannot start: ${error instanceof Error ? error.message : String(error)}`;
    this.#exited({ code: null, signal: null, reason }, events);
  }

  #exited(exit: WorkerExit, events: WorkerEvents): void {
    if (this.#state === "gone") return;
    this.#enter("gone");
    this.#activity?.close();
    this.#handover?.close();
    // What the worker wrote last may still be in the pipe; it is read before the end is told.
    const stream = this.#stream;
    if (stream.destroyed || stream.readableEnded) events.exit(this, exit);
    else stream.once("close", () => events.exit(this, exit));
  }

  #enter(state: WorkerState): void {
    // A late "serving" does not undo a drain.
    const order: readonly WorkerState[] = [
      "starting",
      "ready",
      "serving",
      "draining",
      "stopping",
      "gone",
    ];
    if (order.indexOf(state) <= order.indexOf(this.#state)) return;
    this.#state = state;
    if (order.indexOf(state) > order.indexOf("serving")) this.#onWithdrawn();
  }
}
