// Topics to workers: forwards bytes it does not decode to every subscribed worker of any generation but the sender.

import type { WorkerProcess } from "./worker-process.ts";

/** Topics one worker may subscribe to. */
const MAX_TOPICS = 10_000;

export type BusBroker = {
  subscribe(worker: WorkerProcess, topic: string, on: boolean): void;
  publish(from: WorkerProcess, topic: string, data: Uint8Array): void;
  /** Forgets a worker that is gone and tells the others. */
  depart(worker: WorkerProcess): void;
};

/** The broker of one supervisor. At most once: a subscriber that reads too slowly loses messages, counted by `onDrop`. */
export function createBusBroker(onDrop: (to: WorkerProcess) => void): BusBroker {
  const subscribers = new Map<string, Set<WorkerProcess>>();
  const topicsOf = new Map<WorkerProcess, Set<string>>();

  function leave(worker: WorkerProcess, topic: string): void {
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
      if (topics.size >= MAX_TOPICS) {
        worker.kill(`Subscribed to more than ${MAX_TOPICS} topics`);
        return;
      }
      topics.add(topic);
      const set = subscribers.get(topic) ?? new Set();
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
