// "distribution": "balanced": connections are accepted here and each goes to the worker with the fewest. A copy is kept until
// the worker has taken it, which it says before it reads: one that dies or stands still takes none along that it had not
// taken. No byte of a client is read.

import { closeSync } from "node:fs";
import { MAX_UNTAKEN, type ToSupervisor } from "../ipc/messages.ts";
import type { Logger } from "../log/logger.ts";
import { openHandovers, type Handover } from "../posix/handover.ts";
import { openPoller, type Poller } from "../posix/poller.ts";
import type { Generation } from "./generation.ts";
import { Intake } from "./intake.ts";
import { GenerationError } from "./slot.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** Connections held here in all; beyond that clients wait in the kernel's queues. */
const MAX_HELD = 1_024;
/** A worker that does not take what it is offered for so long gets no more until it shows a sign of life. */
const STALL_MS = 1_000;
const LOOK_MS = 250;
/** A worker that could open no more files is left alone for so long. */
const FULL_MS = 100;
/** A connection that so many offers came to nothing for is closed. */
const MAX_OFFERS = 50;
/** Failures come by the thousand. */
const COMPLAINT_MS = 1_000;

type Held = {
  readonly fd: number;
  /** Of the socket it came on. */
  readonly key: string;
  /** As it was offered last. */
  id: number;
  offers: number;
  offeredAt: number;
};

/** A worker that may be offered connections. */
type Member = {
  readonly worker: WorkerProcess;
  readonly generation: number;
  /** Its numbers for the sockets of its generation. */
  readonly sockets: ReadonlyMap<string, number>;
  /** Oldest first. */
  readonly untaken: Held[];
  /** Connections it has, as it said last. */
  open: number;
  /** When it was chosen last, in offers. */
  chosen: number;
  /** Nothing is offered before. */
  fullUntil: number;
  /** When it was found to stand still. */
  stalledAt: number;
};

/** Why there is none. */
export const NO_BALANCER =
  '"balanced" takes Linux, a 64-bit little-endian processor, the main thread and koffi, which are not all here; "shared" works everywhere';

/** A balancer; undefined where the platform cannot have one. */
export async function createBalancer(log: Logger): Promise<Balancer | undefined> {
  const makeHandover = await openHandovers();
  const poller = await openPoller();
  return makeHandover && poller && new Balancer({ makeHandover, poller, log });
}

type BalancerOptions = {
  readonly makeHandover: () => Handover | undefined;
  readonly poller: Poller;
  readonly log: Logger;
};

/** The balancer of one supervisor. */
export class Balancer {
  /** How connections get to a worker; undefined while no descriptor is left. */
  readonly makeHandover: () => Handover | undefined;
  readonly #log: Logger;
  readonly #intake: Intake;
  readonly #members = new Map<WorkerProcess, Member>();
  /** Workers that get no more; some may still have to say what they took. */
  readonly #former = new Map<WorkerProcess, Member>();
  /** Without a worker for now. */
  #waiting: Held[] = [];
  #held = 0;
  #lastId = 0;
  #current: Generation | undefined;
  #announced: Set<WorkerProcess> | undefined;
  #complainedAt = -COMPLAINT_MS;
  readonly #timer: NodeJS.Timeout;

  constructor({ makeHandover, poller, log }: BalancerOptions) {
    this.makeHandover = makeHandover;
    this.#log = log;
    this.#intake = new Intake({
      poller,
      hasRoom: () => this.#hasRoom(),
      onConnection: (key, fd) => {
        this.#held += 1;
        this.#give({ fd, key, id: 0, offers: 0, offeredAt: 0 });
      },
      onFailure: (bound, code) => this.#complain(`Cannot accept on "${bound}": ${code}`),
    });
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** All workers of a generation serve: it gets what comes from now on. Throws GenerationError where a socket cannot listen. */
  open(generation: Generation): void {
    const { listeners } = generation.spec.listeners;
    const problems = this.#intake.listen(listeners).map(({ socket, code }) => ({
      vhost: listeners.find(({ key }) => key === socket.key)?.vhosts[0] ?? -1,
      path: "port",
      message: `Cannot listen on "${socket.bound}": ${code}`,
    }));
    if (problems.length > 0)
      throw new GenerationError(problems.map(({ message }) => message).join("; "), problems);
    this.#current = generation;
    for (const worker of generation.workers)
      if (worker.state === "serving") this.enlist(worker, generation);
    this.#intake.use(listeners);
  }

  /** Its sockets are given up; whoever's they are, without one. */
  release(generation = this.#current): void {
    if (this.#current !== generation) return;
    this.#current = undefined;
    this.#intake.use([]);
    this.#drop(this.#waiting.splice(0));
  }

  /** A worker serves. */
  enlist(worker: WorkerProcess, generation: Generation): void {
    const keys = generation.spec.listeners.listeners.map(({ key }, index) => [key, index] as const);
    this.#members.set(worker, {
      worker,
      generation: generation.number,
      sockets: new Map(keys),
      untaken: [],
      open: 0,
      chosen: 0,
      fullUntil: 0,
      stalledAt: -Infinity,
    });
    this.#goOn();
  }

  /** A worker gets no more: what it has not taken goes to others, where there are any. */
  withdraw(worker: WorkerProcess): void {
    const member = this.#members.get(worker);
    if (!member) return;
    this.#members.delete(worker);
    this.#former.set(worker, member);
    this.#takeBack(member);
  }

  /** A worker is gone. What it did not say to have taken it has not read. */
  depart(worker: WorkerProcess): void {
    const member = this.#members.get(worker) ?? this.#former.get(worker);
    this.#members.delete(worker);
    this.#former.delete(worker);
    for (const held of member?.untaken.splice(0) ?? []) this.#give(held);
    this.#goOn();
  }

  /** What a worker says of its connections. */
  report(worker: WorkerProcess, { upTo, declined, open }: ToSupervisor["connections"]): void {
    const member = this.#members.get(worker) ?? this.#former.get(worker);
    if (!member) return;
    member.open = open;
    const isTaken = (held: Held | undefined): held is Held => held !== undefined && held.id <= upTo;
    const refused = new Set(declined);
    for (let held = member.untaken[0]; isTaken(held); held = member.untaken[0]) {
      member.untaken.shift();
      if (refused.has(held.id)) {
        member.fullUntil = performance.now() + FULL_MS;
        this.#give(held);
      } else this.#drop([held]);
    }
    this.#goOn();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#intake.close();
    this.#drop(this.#waiting.splice(0));
    for (const { untaken } of [...this.#members.values(), ...this.#former.values()])
      this.#drop(untaken.splice(0));
  }

  /** Offers a connection to the worker that has the fewest; without one it waits, or ends where nobody can come. */
  #give(held: Held): void {
    held.offers += 1;
    if (held.offers > MAX_OFFERS) {
      this.#drop([held]);
      return this.#complain("Closed a connection that no worker could take");
    }
    for (;;) {
      const member = this.#choose(held.key);
      if (!member) break;
      if (this.#offer(held, member)) return;
      member.fullUntil = performance.now() + FULL_MS;
    }
    const isWanted = this.#current?.spec.listeners.listeners.some(({ key }) => key === held.key);
    if (isWanted) this.#waiting.push(held);
    else this.#drop([held]);
  }

  #offer(held: Held, member: Member): boolean {
    const socket = member.sockets.get(held.key) ?? 0;
    this.#lastId += 1;
    if (!member.worker.offer(this.#lastId, socket, held.fd)) return false;
    held.id = this.#lastId;
    held.offeredAt = performance.now();
    member.chosen = this.#lastId;
    member.untaken.push(held);
    this.#announce(member.worker);
    return true;
  }

  /** Tells a worker once for all that it is offered in a turn. */
  #announce(worker: WorkerProcess): void {
    if (!this.#announced) {
      const announced = new Set<WorkerProcess>();
      this.#announced = announced;
      queueMicrotask(() => {
        this.#announced = undefined;
        for (const each of announced) each.tell("offered", {});
      });
    }
    this.#announced.add(worker);
  }

  /** The newest generation first; of its workers the one with the fewest connections, of equals the one that waited longest. */
  #choose(key: string): Member | undefined {
    let best: Member | undefined;
    const now = performance.now();
    for (const member of this.#members.values())
      if (member.sockets.has(key) && hasRoom(member, now) && (!best || precedes(member, best)))
        best = member;
    return best;
  }

  #hasRoom(): boolean {
    if (this.#held >= MAX_HELD || this.#waiting.length > 0) return false;
    const now = performance.now();
    return this.#members.values().some((member) => hasRoom(member, now));
  }

  /** Something has changed for the better, perhaps. */
  #goOn(): void {
    const waiting = this.#waiting.splice(0);
    for (const held of waiting) {
      // It was not offered to anybody.
      if (this.#choose(held.key)) this.#give(held);
      else this.#waiting.push(held);
    }
    this.#intake.resume();
  }

  /** A worker that stands still keeps its clients waiting, while others could have them. */
  #look(): void {
    const now = performance.now();
    for (const member of this.#members.values()) {
      const oldest = member.untaken[0];
      if (!oldest || now - oldest.offeredAt < STALL_MS) continue;
      const others = this.#members.values().filter((other) => other !== member);
      if (!others.some((other) => other.sockets.has(oldest.key) && isAwake(other))) continue;
      member.stalledAt = now;
      const count = this.#takeBack(member);
      const { slot, pid } = member.worker;
      if (count > 0)
        this.#log.warn(
          { worker: slot, pid },
          `Worker takes no connections: others get ${count} of its`,
        );
    }
    this.#goOn();
  }

  /** Gives to others what a worker has not taken; what no other may have it keeps. Returns how many it had not taken. */
  #takeBack(member: Member): number {
    const back: Held[] = [];
    for (let id = member.worker.takeBack(); id !== undefined; id = member.worker.takeBack()) {
      const index = member.untaken.findIndex((held) => held.id === id);
      back.push(...(index < 0 ? [] : member.untaken.splice(index, 1)));
    }
    for (const held of back) {
      const others = this.#members.values().filter((other) => other !== member);
      const isWanted = others.some(({ sockets }) => sockets.has(held.key));
      if (isWanted || !this.#offer(held, member)) this.#give(held);
    }
    return back.length;
  }

  #drop(all: readonly Held[]): void {
    for (const { fd } of all) closeSync(fd);
    this.#held -= all.length;
  }

  #complain(message: string): void {
    if (performance.now() - this.#complainedAt < COMPLAINT_MS) return;
    this.#complainedAt = performance.now();
    this.#log.error(message);
  }
}

function hasRoom(member: Member, now: number): boolean {
  return member.untaken.length < MAX_UNTAKEN && now >= member.fullUntil && isAwake(member);
}

function isAwake({ worker, stalledAt }: Member): boolean {
  return worker.lastHeardAt > stalledAt;
}

function precedes(one: Member, other: Member): boolean {
  if (one.generation !== other.generation) return one.generation > other.generation;
  const [ones, others] = [load(one), load(other)];
  return ones === others ? one.chosen < other.chosen : ones < others;
}

function load({ open, untaken }: Member): number {
  return open + untaken.length;
}
