// Topics to workers: forwards bytes it does not decode to every subscribed worker of any generation but the sender, and to other
// machines where there is a way to them.

import { MAX_SCOPE_BYTES, MAX_TOPIC_BYTES } from "../ipc/bus.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** Topics one worker may subscribe to. */
const MAX_TOPICS = 10_000;
/** As they travel: scope, slash, topic. */
const MAX_NAME_BYTES = MAX_SCOPE_BYTES + 1 + MAX_TOPIC_BYTES;

/** Who subscribes and publishes. */
export type BusMember = Pick<WorkerProcess, "id" | "tell" | "kill" | "backlogged">;

/** The way to other machines. */
export type BusOutside = {
  /** Somebody here wants a topic, or nobody any more. */
  want(topic: string, on: boolean): void;
  publish(topic: string, from: number, data: Uint8Array): void;
  /** A worker of ours is gone. */
  depart(worker: number): void;
};

export type BusBroker<Member> = {
  subscribe(worker: Member, topic: string, on: boolean): void;
  publish(from: Member, topic: string, data: Uint8Array): void;
  /** Forgets a worker that is gone and tells the others. */
  depart(worker: Member): void;
  /** From now on messages go out by `outside`, and topics that are wanted already are wanted there; undefined for none. */
  connect(outside: BusOutside | undefined): void;
  /** Something from another machine. */
  deliver(topic: string, from: number, data: Uint8Array): void;
  /** A worker of another machine is gone. */
  forget(worker: number): void;
  /** Another machine can be heard. */
  greet(): void;
};

/** The broker of one supervisor. At most once: a subscriber that reads too slowly loses messages, counted by `onDrop`. */
export function createBusBroker<Member extends BusMember = WorkerProcess>(
  onDrop: (to: Member) => void,
): BusBroker<Member> {
  const subscribers = new Map<string, Set<Member>>();
  const topicsOf = new Map<Member, Set<string>>();
  let outside: BusOutside | undefined;

  function leave(worker: Member, topic: string): void {
    const set = subscribers.get(topic);
    set?.delete(worker);
    if (set?.size !== 0) return;
    subscribers.delete(topic);
    outside?.want(topic, false);
  }

  function spread(topic: string, from: number, data: Uint8Array, except?: Member): void {
    for (const worker of subscribers.get(topic) ?? []) {
      if (worker === except) continue;
      if (worker.backlogged) onDrop(worker);
      else worker.tell("deliver", { topic, from, data });
    }
  }

  return {
    subscribe(worker, topic, on) {
      const topics = topicsOf.get(worker) ?? new Set();
      topicsOf.set(worker, topics);
      if (!on) {
        topics.delete(topic);
        leave(worker, topic);
        return;
      }
      if (Buffer.byteLength(topic) > MAX_NAME_BYTES) {
        worker.kill("Subscribed to too long a topic");
        return;
      }
      if (topics.size >= MAX_TOPICS) {
        worker.kill(`Subscribed to more than ${MAX_TOPICS} topics`);
        return;
      }
      topics.add(topic);
      const known = subscribers.get(topic);
      subscribers.set(topic, (known ?? new Set<Member>()).add(worker));
      if (!known) outside?.want(topic, true);
    },
    publish(from, topic, data) {
      spread(topic, from.id, data, from);
      outside?.publish(topic, from.id, data);
    },
    depart(worker) {
      for (const topic of topicsOf.get(worker) ?? []) leave(worker, topic);
      topicsOf.delete(worker);
      for (const other of topicsOf.keys()) other.tell("departed", { worker: worker.id });
      outside?.depart(worker.id);
    },
    connect(way) {
      outside = way;
      for (const topic of subscribers.keys()) way?.want(topic, true);
    },
    deliver: (topic, from, data) => spread(topic, from, data),
    forget(worker) {
      for (const member of topicsOf.keys()) member.tell("departed", { worker });
    },
    greet() {
      for (const member of topicsOf.keys()) member.tell("arrived", {});
    },
  };
}
