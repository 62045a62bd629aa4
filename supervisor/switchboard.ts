// What workers say to the server as a whole, and what they hear of each other: statistics, the bus, stores, logs. Their
// generation hears the rest.

import { protocolScope } from "../config/listeners.ts";
import type { LoadedConfig } from "../config/load.ts";
import type { Board, BoardNats } from "../ipc/board.ts";
import type { Logger } from "../log/logger.ts";
import { BoardWatchers } from "./board-watchers.ts";
import { createBusBridge, type BusBridge } from "./bus-bridge.ts";
import { createBusBroker, type BusBroker } from "./bus-broker.ts";
import type { GenerationsOptions } from "./generations.ts";
import { createLogMender } from "./log-files.ts";
import { createSharedStore } from "./shared-store.ts";
import { StatsBoard } from "./stats-board.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** Messages are lost by the thousand: they are counted, and one line says so each time. */
const COMPLAINT_MS = 10_000;

export type SwitchboardOptions = {
  readonly log: Logger;
  /** The board as it is; undefined while the server does not run. */
  readonly status: () => Board | undefined;
  /** Workers have lost their log files. */
  readonly mendLogs: () => void;
  /** A worker is gone. */
  readonly onExit: (worker: WorkerProcess) => void;
};

/** The switchboard of one server. */
export class Switchboard {
  readonly board = new StatsBoard();
  readonly events: GenerationsOptions["events"];
  readonly #watchers: BoardWatchers;
  readonly #store: ReturnType<typeof createSharedStore>;
  readonly #broker: BusBroker<WorkerProcess>;
  readonly #log: Logger;
  #bridge: BusBridge | undefined;
  /** What the bridge was made of. */
  #bridged: string | undefined;

  constructor({ log, status, mendLogs, onExit }: SwitchboardOptions) {
    this.#watchers = new BoardWatchers({ board: status, history: () => this.board.history() });
    this.#log = log;
    let complainedAt = -Infinity;
    const broker = createBusBroker((to) => {
      this.board.countBusDrop();
      if (performance.now() - complainedAt < COMPLAINT_MS) return;
      complainedAt = performance.now();
      log.warn({ worker: to.slot, pid: to.pid }, "Bus messages lost: the worker reads too slowly");
    });
    this.#broker = broker;
    const store = createSharedStore((from, why) =>
      log.warn({ worker: from.slot, pid: from.pid }, `A plugin's store was not changed: ${why}`),
    );
    this.#store = store;
    this.events = {
      sample: (worker, sample, last) => this.board.record(worker, sample, last),
      watch: (worker, on) => this.#watchers.watch(worker, on),
      recall: (worker) => this.#watchers.recall(worker),
      subscribe: (worker, topic, on) => broker.subscribe(worker, topic, on),
      publish: (worker, topic, data) => broker.publish(worker, topic, data),
      connected: (worker) => store.join(worker),
      store: (worker, change) => store.change(worker, change),
      reopened: (worker, failed) => {
        for (const message of failed) log.error({ worker: worker.slot, pid: worker.pid }, message);
      },
      logsLost: createLogMender(mendLogs),
      exit: (worker) => {
        this.board.depart(worker);
        broker.depart(worker);
        store.depart(worker);
        this.#watchers.depart(worker);
        onExit(worker);
      },
    };
  }

  /** From now on this configuration serves: what plugins stored for vhosts that it has not is forgotten. */
  adopt(loaded: LoadedConfig): void {
    const { config } = loaded;
    this.#connect(loaded);
    this.#store.keepOnly(
      new Set(
        config.vhosts.flatMap((vhost) =>
          vhost["ws-protocols"].map(({ name }) => protocolScope(vhost, name)),
        ),
      ),
    );
  }

  /** The way to other machines, where one is configured. */
  get nats(): BoardNats | undefined {
    return this.#bridge?.status;
  }

  /** No worker is left. */
  async stop(): Promise<void> {
    await this.#bridge?.close();
  }

  #connect({ config: { global } }: LoadedConfig): void {
    const { bus, "nats-ca": ca, "nats-credentials": credentials } = global;
    const wanted = bus && JSON.stringify([bus, ca, credentials]);
    if (wanted === this.#bridged) return;
    this.#bridged = wanted;
    void this.#bridge?.close();
    this.#bridge =
      bus &&
      createBusBridge({
        urls: bus.nats,
        ca,
        credentials,
        log: this.#log,
        deliver: (topic, from, data) => this.#broker.deliver(topic, from, data),
        forget: (worker) => this.#broker.forget(worker),
        greet: () => this.#broker.greet(),
        onDrop: () => this.board.countBusDrop(),
      });
    this.#broker.connect(this.#bridge);
  }

  /** Shows the board to the workers that watch it. */
  show(): void {
    this.#watchers.tick();
  }
}
