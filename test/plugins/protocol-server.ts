// One worker's WebSocket side for tests: a real HTTP server on port 0, an upgrader, protocols on one vhost.
// Several of them share a bus made by createBusDouble(), which does in one process what the supervisor's broker does.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { Duplex } from "node:stream";
import type { TestContext } from "node:test";
import { createLogger, type Logger } from "../../log/logger.ts";
import { emptyVhostCounters, type Board, type VhostCounters } from "../../ipc/stats.ts";
import { vhostShape, type VhostConfig } from "../../config/vhost.ts";
import { createCounters, type Counters } from "../../worker/counters.ts";
import type {
  Bus,
  ProtocolContext,
  ProtocolDefinition,
  ProtocolHost,
  ProtocolInstance,
} from "../../worker/protocol.ts";
import { createUpgrader, type Upgrader, type UpgraderOptions } from "../../worker/upgrade.ts";

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
  readonly defaultProtocol?: string;
  readonly bus?: BusDouble;
  readonly worker?: number;
  readonly limits?: Pick<UpgraderOptions, "idleMs" | "answerMs" | "closeMs">;
  readonly logger?: Logger;
};

export type ProtocolServer = {
  readonly port: number;
  readonly url: string;
  readonly upgrader: Upgrader;
  readonly counters: Counters;
  readonly vhostCounters: VhostCounters;
  readonly vhost: VhostConfig;
  /** The server's ends of the connections that were upgraded, first one first. */
  readonly sockets: readonly Duplex[];
  /** Upgrades that were accepted so far. */
  accepted(): number;
  /** Waits until the server, too, knows that every WebSocket is over. */
  deserted(): Promise<void>;
  /** Gives a board to whoever watches; false when nobody does. */
  showBoard(board: Board): boolean;
  instance(name: string): ProtocolInstance;
};

/** Starts one, and stops it when the test ends. */
export async function startProtocolServer(
  t: TestContext,
  options: ProtocolServerOptions,
): Promise<ProtocolServer> {
  const worker = options.worker ?? 1;
  const bus = (options.bus ?? createBusDouble()).join(worker);
  const log = options.logger ?? (await createLogger({ name: "test", level: "silent" }));
  const counters = createCounters();
  const vhostCounters = emptyVhostCounters();
  const watchers = new Set<(board: Board) => void>();
  const timers = new Set<NodeJS.Timeout>();
  const vhost: VhostConfig = {
    ...vhostShape.parse({ name: "localhost", port: 0 }),
    mounts: [],
    "ws-protocols": [],
    where: { file: "", path: "vhosts[0]" },
  };
  const sockets: Duplex[] = [];

  const context: ProtocolContext = {
    vhost: { name: "localhost", port: 0, secure: false },
    version: "portico-test",
    worker,
    log,
    bus,
    watchBoard(listener) {
      watchers.add(listener);
      return () => void watchers.delete(listener);
    },
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
    protocols.set(name, { definition, instance, isDefault: options.defaultProtocol === name });
  }

  const upgrader = createUpgrader({
    worker,
    counters,
    log,
    ...options.limits,
  });
  const server = createServer();
  server.on("upgrade", (request, socket, head) =>
    upgrader.handle({
      request,
      socket,
      head,
      connection: { remoteAddress: request.socket.remoteAddress ?? "" },
      vhost: { config: vhost, protocols, counters: vhostCounters },
      target: request.url ?? "",
      reject(status, message, headers = []) {
        const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
        socket.end(`HTTP/1.1 ${status} Refused\r\n${lines}Connection: close\r\n\r\n${message}`);
      },
      accepted() {
        sockets.push(socket);
      },
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    upgrader.stop();
    for (const { instance } of protocols.values()) instance.stop?.();
    for (const timer of timers) clearInterval(timer);
    server.close();
  });

  const address = server.address();
  assert(typeof address === "object" && address !== null);
  const { port } = address;
  return {
    port,
    url: `ws://127.0.0.1:${port}`,
    upgrader,
    counters,
    vhostCounters,
    vhost,
    sockets,
    accepted: () => sockets.length,
    async deserted() {
      while (upgrader.open > 0) await new Promise(setImmediate);
    },
    showBoard(board) {
      for (const watcher of watchers) watcher(board);
      return watchers.size > 0;
    },
    instance(name) {
      const host = protocols.get(name);
      if (!host) throw new Error(`No protocol "${name}" here`);
      return host.instance;
    },
  };
}
