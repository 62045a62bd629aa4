// Topics to workers: forwards bytes it does not decode to every subscribed worker of any generation but the sender.

import { MAX_SCOPE_BYTES, MAX_TOPIC_BYTES } from "../ipc/bus.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** Topics one worker may subscribe to. */
const MAX_TOPICS = 10_000;
/** As they travel: scope, slash, topic. */
const MAX_NAME_BYTES = MAX_SCOPE_BYTES + 1 + MAX_TOPIC_BYTES;

/** Who subscribes and publishes. */
export type BusMember = Pick<WorkerProcess, "id" | "tell" | "kill" | "backlogged">;

export type BusBroker<Member> = {
  subscribe(worker: Member, topic: string, on: boolean): void;
  publish(from: Member, topic: string, data: Uint8Array): void;
  /** Forgets a worker that is gone and tells the others. */
  depart(worker: Member): void;
};

/** The broker of one supervisor. At most once: a subscriber that reads too slowly loses messages, counted by `onDrop`. */
export function createBusBroker<Member extends BusMember = WorkerProcess>(
  onDrop: (to: Member) => void,
): BusBroker<Member> {
  const subscribers = new Map<string, Set<Member>>();
  const topicsOf = new Map<Member, Set<string>>();

  function leave(worker: Member, topic: string): void {
    const set = subscribers.get(topic);
    set?.delete(worker);
    if (set?.size === 0) subscribers.delete(topic);
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
      const set = subscribers.get(topic) ?? new Set<Member>();
      subscribers.set(topic, set.add(worker));
    },
    publish(from, topic, data) {
      for (const worker of subscribers.get(topic) ?? []) {
        if (worker === from) continue;
        if (worker.backlogged) onDrop(worker);
        else worker.tell("deliver", { topic, from: from.id, data });
      }
    },
    depart(worker) {
      for (const topic of topicsOf.get(worker) ?? []) leave(worker, topic);
      topicsOf.delete(worker);
      for (const other of topicsOf.keys()) other.tell("departed", { worker: worker.id });
    },
  };
}
