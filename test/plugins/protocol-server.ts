// One worker's WebSocket side for tests: the real HTTP front on port 0, an upgrader, protocols on one vhost.
// Several of them share a bus made by createBusDouble(), which does in one process what the supervisor's broker does.

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import type { TestContext } from "node:test";
import { protocolShape } from "../../config/protocol.ts";
import type { VhostConfig } from "../../config/vhost.ts";
import type { Board, BoardHistory } from "../../ipc/board.ts";
import type { VhostCounters } from "../../ipc/stats.ts";
import { createLogger, type Logger } from "../../log/logger.ts";
import type { Counters, ProtocolCounts } from "../../worker/counters.ts";
import { createCount } from "../../worker/protocol-counts.ts";
import { createProtocolHost, type ProtocolHost } from "../../worker/protocol-host.ts";
import type { Bus, ProtocolContext, ProtocolDefinition } from "../../worker/protocol.ts";
import { createStoreClient } from "../../worker/store.ts";
import { createUpgrader, type Upgrader, type UpgraderOptions } from "../../worker/upgrade.ts";
import { startSite, type TestMount } from "../helpers/site.ts";

type BusListener = (message: Buffer, from: number) => void;

export type BusDouble = {
  join(worker: number): Bus;
  depart(worker: number): void;
  /** The next message is lost, as the contract allows. */
  loseNext(): void;
};

/** A bus between workers of one process: asynchronous, ordered per publisher, never back to the sender. */
export function createBusDouble(): BusDouble {
  const listeners = new Map<number, Map<string, Set<BusListener>>>();
  const departures = new Map<number, Set<(worker: number) => void>>();
  let isLosing = false;
  return {
    join(worker) {
      const topics = new Map<string, Set<BusListener>>();
      const gone = new Set<(worker: number) => void>();
      listeners.set(worker, topics);
      departures.set(worker, gone);
      return {
        publish(topic, message) {
          if (isLosing) {
            isLosing = false;
            return;
          }
          const bytes = Buffer.from(message);
          for (const [other, theirs] of listeners) {
            if (other === worker) continue;
            setImmediate(() => {
              for (const listener of theirs.get(topic) ?? []) listener(Buffer.from(bytes), worker);
            });
          }
        },
        subscribe(topic, listener) {
          const set = topics.get(topic) ?? new Set();
          topics.set(topic, set.add(listener));
          return () => void set.delete(listener);
        },
        onDeparture(listener) {
          gone.add(listener);
          return () => void gone.delete(listener);
        },
        onArrival: () => () => {},
      };
    },
    depart(worker) {
      listeners.delete(worker);
      departures.delete(worker);
      for (const gone of departures.values()) for (const listener of gone) listener(worker);
    },
    loseNext() {
      isLosing = true;
    },
  };
}

export type ProtocolServerOptions = {
  readonly protocols: readonly ProtocolDefinition[];
  /** As a configuration writes them, by protocol. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** What the server keeps all of them to, as a configuration writes it. */
  readonly keys?: Readonly<Record<string, unknown>>;
  readonly defaultProtocol?: string;
  readonly mounts?: readonly TestMount[];
  readonly bus?: BusDouble;
  readonly worker?: number;
  readonly readHistory?: () => Promise<BoardHistory>;
  readonly limits?: Pick<UpgraderOptions, "idleMs" | "answerMs" | "closeMs">;
  readonly logger?: Logger;
  /** That of the configuration. */
  readonly directory?: string;
};

export type ProtocolServer = {
  readonly port: number;
  readonly url: string;
  readonly upgrader: Upgrader;
  readonly counters: Counters;
  readonly vhostCounters: VhostCounters;
  /** What the protocols count themselves. */
  readonly counted: ProtocolCounts;
  /** Of the latest upgrade. */
  readonly vhost: VhostConfig;
  /** The server's ends of the connections, first one first. */
  readonly sockets: readonly Socket[];
  /** Waits until the server, too, knows that every WebSocket is over. */
  deserted(): Promise<void>;
  /** Gives a board to whoever watches; false when nobody does. */
  showBoard(board: Board): boolean;
};

const VHOST = "localhost";

/** Starts one, and stops it when the test ends. */
export async function startProtocolServer(
  t: TestContext,
  options: ProtocolServerOptions,
): Promise<ProtocolServer> {
  const worker = options.worker ?? 1;
  const bus = (options.bus ?? createBusDouble()).join(worker);
  const log = options.logger ?? (await createLogger({ name: "test", level: "silent" }));
  const watchers = new Set<(board: Board) => void>();
  const timers = new Set<NodeJS.Timeout>();
  const counted = Object.create(null) as ProtocolCounts;
  const context: ProtocolContext = {
    vhost: { name: VHOST, port: 80, secure: false },
    directory: options.directory ?? "/",
    version: "portico-test",
    worker,
    log,
    count: createCount(counted),
    bus,
    store: createStoreClient({ send: () => true }).scoped("test"),
    watchBoard(listener) {
      watchers.add(listener);
      return () => void watchers.delete(listener);
    },
    readHistory: options.readHistory ?? (() => Promise.reject(new Error("No history here"))),
    every(ms, action) {
      const timer = setInterval(action, ms);
      timers.add(timer);
      return () => {
        clearInterval(timer);
        timers.delete(timer);
      };
    },
  };
  const protocols = new Map<string, ProtocolHost>();
  for (const definition of options.protocols) {
    const { name } = definition;
    const decoded = definition.options?.parse(options.options?.[name] ?? {});
    const instance = definition.start(context, decoded);
    const keys = protocolShape.parse(options.keys ?? {});
    const isDefault = options.defaultProtocol === name;
    protocols.set(name, createProtocolHost(definition, instance, keys, isDefault));
  }

  let upgrader: Upgrader | undefined;
  let vhost: VhostConfig | undefined;
  const site = await startSite(t, {
    vhosts: [{ name: VHOST, mounts: options.mounts ?? [], protocols }],
    usesStreams: true,
    onUpgrade(upgrade) {
      vhost = upgrade.vhost.config;
      upgrader?.handle(upgrade);
    },
  });
  assert.deepEqual(site.refused, []);
  const { counters, port } = site;
  const started = createUpgrader({ worker, counters, log, ...options.limits });
  upgrader = started;
  t.after(() => {
    started.stop();
    for (const { instance } of protocols.values()) instance.stop?.();
    for (const timer of timers) clearInterval(timer);
  });

  return {
    port,
    url: `ws://127.0.0.1:${port}`,
    upgrader: started,
    counters,
    vhostCounters: counters.vhost(`${VHOST}:80`),
    counted,
    get vhost() {
      assert.ok(vhost);
      return vhost;
    },
    sockets: site.accepted as Socket[],
    async deserted() {
      while (started.open > 0) await new Promise(setImmediate);
    },
    showBoard(board) {
      for (const watcher of watchers) watcher(board);
      return watchers.size > 0;
    },
  };
}
