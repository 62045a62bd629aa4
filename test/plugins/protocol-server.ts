// One worker's WebSocket side for tests: a real HTTP server on port 0, an upgrader, protocols on one vhost.
// Several of them share a bus made by createBusDouble(), which does in one process what the supervisor's broker does.

import { once } from "node:events";
import { createServer } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { createLogger, type Logger } from "../../log/logger.ts";
import { emptyVhostCounters, type Board, type VhostCounters } from "../../ipc/stats.ts";
import type { VhostConfig } from "../../config/vhost.ts";
import { createCounters, type Counters } from "../../worker/counters.ts";
import type {
  Bus,
  ProtocolContext,
  ProtocolDefinition,
  ProtocolHost,
  ProtocolInstance,
} from "../../worker/protocol.ts";
import { createUpgrader, type Upgrader } from "../../worker/upgrade.ts";

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
  readonly idleMs?: number;
  readonly answerMs?: number;
  readonly logger?: Logger;
};

export type ProtocolServer = {
  readonly port: number;
  readonly url: string;
  readonly upgrader: Upgrader;
  readonly counters: Counters;
  readonly vhostCounters: VhostCounters;
  readonly vhost: VhostConfig;
  /** Upgrades that were accepted so far. */
  accepted(): number;
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
  const vhost = { name: "localhost", port: 0 } as VhostConfig;
  let acceptedCount = 0;

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
    ...(options.idleMs === undefined ? {} : { idleMs: options.idleMs }),
    ...(options.answerMs === undefined ? {} : { answerMs: options.answerMs }),
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
        acceptedCount += 1;
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

  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `ws://127.0.0.1:${port}`,
    upgrader,
    counters,
    vhostCounters,
    vhost,
    accepted: () => acceptedCount,
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

/** A WebSocket client whose messages and end can be awaited in turn. */
export class Client {
  readonly socket: WebSocket;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly #messages: string[] = [];
  #wake: (() => void) | undefined;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.addEventListener("close", ({ code, reason }) => resolve({ code, reason }));
    });
    socket.addEventListener("message", ({ data }) => {
      this.#messages.push(String(data));
      this.#wake?.();
    });
  }

  /** Connects and waits until the WebSocket is open. */
  static async open(t: TestContext, url: string, protocol?: string): Promise<Client> {
    const client = new Client(new WebSocket(url, protocol));
    t.after(() => client.socket.close());
    await once(client.socket, "open");
    return client;
  }

  /** The next message, in the order they came. */
  async next(): Promise<string> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Takes messages until one fits, and returns that. */
  async nextThat(fits: (message: string) => boolean): Promise<string> {
    for (;;) {
      const message = await this.next();
      if (fits(message)) return message;
    }
  }

  /** Messages that came and were not taken. */
  get waiting(): number {
    return this.#messages.length;
  }
}

export const HANDSHAKE_KEY = "dGhlIHNhbXBsZSBub25jZQ==";

/** The lines of an opening handshake; `changes` replaces a header, drops it (undefined) or adds one. */
export function handshake(
  port: number,
  changes: Readonly<Record<string, string | undefined>> = {},
  requestLine = "GET / HTTP/1.1",
): string {
  const headers = {
    Host: `127.0.0.1:${port}`,
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": HANDSHAKE_KEY,
    ...changes,
  };
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}\r\n`],
  );
  return `${requestLine}\r\n${lines.join("")}\r\n`;
}

export type FrameOptions = {
  readonly opcode?: number;
  readonly isFinal?: boolean;
  readonly isMasked?: boolean;
  readonly rsv?: number;
  /** Written instead of the payload's length, in 64 bits. */
  readonly claimedLength?: bigint;
};

/** One client frame, right or wrong as asked. */
export function frame(payload: string | Buffer, options: FrameOptions = {}): Buffer {
  const { opcode = 1, isFinal = true, isMasked = true, rsv = 0, claimedLength } = options;
  const body = Buffer.from(payload);
  const maskBit = isMasked ? 0x80 : 0;
  const head = [(isFinal ? 0x80 : 0) | (rsv << 4) | opcode];
  if (claimedLength !== undefined || body.length > 0xffff) {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(claimedLength ?? BigInt(body.length));
    head.push(maskBit | 127, ...length);
  } else if (body.length > 125) head.push(maskBit | 126, body.length >> 8, body.length & 0xff);
  else head.push(maskBit | body.length);
  if (isMasked) head.push(0, 0, 0, 0); // masking with zeros leaves the payload as it is
  return Buffer.concat([Buffer.from(head), body]);
}

/** A connection by hand: what came back can be awaited. */
export class RawClient {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  #received = Buffer.alloc(0);
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        resolve();
        this.#wake?.();
      });
    });
    socket.on("error", () => {}); // a reset is one of the ends a hostile client may see
    socket.on("data", (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake?.();
    });
  }

  /** Connects and sends `first`. */
  static async open(t: TestContext, port: number, first: string | Buffer): Promise<RawClient> {
    const client = new RawClient(connect(port, "127.0.0.1"));
    t.after(() => client.socket.destroy());
    await once(client.socket, "connect");
    client.socket.write(first);
    return client;
  }

  /** Connects and completes the opening handshake. */
  static async upgrade(t: TestContext, port: number, protocol: string): Promise<RawClient> {
    const client = await RawClient.open(
      t,
      port,
      handshake(port, { "Sec-WebSocket-Protocol": protocol }),
    );
    await client.head();
    return client;
  }

  /** The head of the HTTP answer. */
  async head(): Promise<string> {
    for (;;) {
      const end = this.#received.indexOf("\r\n\r\n");
      if (end >= 0) {
        const head = this.#received.subarray(0, end).toString("latin1");
        this.#received = this.#received.subarray(end + 4);
        return head;
      }
      await this.#more();
    }
  }

  /** The next frame of the server; its payload must be shorter than 64 KiB. */
  async frame(): Promise<{ readonly opcode: number; readonly payload: Buffer }> {
    for (;;) {
      const short = (this.#received[1] ?? 0) & 0x7f;
      const start = short === 126 ? 4 : 2;
      if (this.#received.length >= start) {
        const length = short === 126 ? this.#received.readUInt16BE(2) : short;
        if (this.#received.length >= start + length) {
          const opcode = (this.#received[0] ?? 0) & 0x0f;
          const payload = this.#received.subarray(start, start + length);
          this.#received = this.#received.subarray(start + length);
          return { opcode, payload };
        }
      }
      await this.#more();
    }
  }

  /** The code of the close frame the server sends, after whatever it sends before. */
  async closeCode(): Promise<number> {
    for (;;) {
      const { opcode, payload } = await this.frame();
      if (opcode === 8) return payload.readUInt16BE(0);
    }
  }

  async #more(): Promise<void> {
    if (this.socket.destroyed) throw new Error("The connection is over");
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }
}
