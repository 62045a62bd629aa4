// The bus over several machines: what is published here goes to a NATS server, what others publish there comes to the workers
// that subscribed. Machines tell each other that they are alive, so that what their workers announced is forgotten with them.

import { createHash, randomBytes } from "node:crypto";
import type { BoardNats } from "../ipc/board.ts";
import type { Logger } from "../log/logger.ts";
import type { BusOutside } from "./bus-broker.ts";
import { createNatsLink, type NatsLink } from "./nats-link.ts";

/** Sign of life, and how long without one until a machine is taken for gone. */
const ALIVE_MS = 2_000;
const SILENT_MS = 10_000;
/** Arrivals closer together than this are told once. */
const ARRIVAL_MS = 250;
/** Others beyond these are not heard. */
const MAX_MACHINES = 1_000;
const MAX_WORKERS = 10_000;
const SUBJECT = "portico.bus";
/** Where machines speak of themselves and their workers. */
const LIFE = "portico.life";
const ALIVE = 1;
const WORKER_GONE = 2;
const LEAVING = 3;

/** In front of each message: who speaks, and which of its workers. */
const INSTANCE_BYTES = 16;
const HEAD_BYTES = INSTANCE_BYTES + 4;

export type BusBridge = BusOutside & {
  readonly status: BoardNats;
  close(): Promise<void>;
};

export type BusBridgeOptions = {
  readonly urls: readonly string[];
  readonly ca: string | undefined;
  readonly credentials: string | undefined;
  readonly log: Logger;
  readonly deliver: (topic: string, from: number, data: Uint8Array) => void;
  /** A worker of another machine is gone, or its machine. */
  readonly forget: (worker: number) => void;
  /** A machine is heard that was not before, or not without a gap. */
  readonly greet: () => void;
  /** A message could not go out. */
  readonly onDrop: () => void;
};

type Machine = {
  heardAt: number;
  /** Its numbers of its workers to ours. */
  readonly workers: Map<number, number>;
};

/** Builds the bridge; it stands as soon as the server is reached. */
export function createBusBridge(options: BusBridgeOptions): BusBridge {
  const { log, deliver, forget, greet, onDrop } = options;
  const self = randomBytes(INSTANCE_BYTES);
  const topics = new Map<string, string>();
  const machines = new Map<string, Machine>();
  let lastWorker = 0;
  let known = 0;
  let sent = 0;
  let received = 0;
  let arrival: NodeJS.Timeout | undefined;

  const link: NatsLink = createNatsLink({
    urls: options.urls,
    ca: options.ca,
    credentials: options.credentials,
    log,
    onMessage,
    onUp() {
      speak(ALIVE, 0);
      if (machines.size > 0) greetSoon();
    },
  });
  link.subscribe(LIFE, true);
  const pulse = setInterval(() => {
    speak(ALIVE, 0);
    const now = performance.now();
    for (const [id, { heardAt }] of machines) if (now - heardAt > SILENT_MS) lose(id);
  }, ALIVE_MS);
  pulse.unref();

  function speak(what: number, worker: number): void {
    link.publish(LIFE, Buffer.concat([headOf(worker), Buffer.of(what)]));
  }

  function headOf(worker: number): Buffer {
    const head = Buffer.alloc(HEAD_BYTES);
    self.copy(head);
    head.writeUInt32BE(worker, INSTANCE_BYTES);
    return head;
  }

  function onMessage(subject: string, bytes: Uint8Array): void {
    // Not ours: anybody may publish there.
    if (bytes.length < HEAD_BYTES) return;
    const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const id = message.toString("latin1", 0, INSTANCE_BYTES);
    // The server does not send back what we said; a bridge between servers may.
    if (id === self.toString("latin1")) return;
    const number = message.readUInt32BE(INSTANCE_BYTES);
    const rest = message.subarray(HEAD_BYTES);
    if (subject === LIFE) return hearOfLife(id, number, rest[0]);
    const topic = topics.get(subject);
    const from = topic === undefined ? undefined : workerOf(machineOf(id), number);
    if (topic === undefined || from === undefined) return;
    received += 1;
    deliver(topic, from, rest);
  }

  function hearOfLife(id: string, number: number, what: number | undefined): void {
    if (what === LEAVING) return lose(id);
    const machine = machineOf(id);
    const worker = machine?.workers.get(number);
    if (what !== WORKER_GONE || worker === undefined) return;
    machine?.workers.delete(number);
    known -= 1;
    forget(worker);
  }

  /** The machine, whose sign of life this is. */
  function machineOf(id: string): Machine | undefined {
    let machine = machines.get(id);
    if (!machine) {
      if (machines.size >= MAX_MACHINES) return undefined;
      machines.set(id, (machine = { heardAt: 0, workers: new Map() }));
      // It does not know of us either, if it was out of reach.
      speak(ALIVE, 0);
      greetSoon();
    }
    machine.heardAt = performance.now();
    return machine;
  }

  function greetSoon(): void {
    arrival ??= setTimeout(() => {
      arrival = undefined;
      greet();
    }, ARRIVAL_MS);
  }

  function workerOf(machine: Machine | undefined, number: number): number | undefined {
    let worker = machine?.workers.get(number);
    if (machine && worker === undefined && known < MAX_WORKERS) {
      known += 1;
      lastWorker += 1;
      machine.workers.set(number, (worker = -lastWorker));
    }
    return worker;
  }

  function lose(id: string): void {
    const machine = machines.get(id);
    if (!machine) return;
    machines.delete(id);
    known -= machine.workers.size;
    for (const worker of machine.workers.values()) forget(worker);
  }

  return {
    get status() {
      return { address: link.address, isUp: link.isUp, sent, received };
    },
    want(topic, on) {
      const subject = subjectOf(topic);
      if (on) topics.set(subject, topic);
      else topics.delete(subject);
      link.subscribe(subject, on);
    },
    publish(topic, from, data) {
      if (link.publish(subjectOf(topic), Buffer.concat([headOf(from), data]))) sent += 1;
      else onDrop();
    },
    depart: (worker) => speak(WORKER_GONE, worker),
    async close() {
      clearInterval(pulse);
      clearTimeout(arrival);
      speak(LEAVING, 0);
      await link.close();
      for (const id of machines.keys()) lose(id);
    },
  };
}

/** Topics are longer than subjects may be, and hold what subjects cannot. */
function subjectOf(topic: string): string {
  return `${SUBJECT}.${createHash("sha256").update(topic).digest("base64url")}`;
}
