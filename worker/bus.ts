// The worker's end of the bus: topics of a vhost's protocol, carried to the other workers by the supervisor.

import { MAX_TOPIC_BYTES } from "../ipc/bus.ts";
import type { Channel } from "../ipc/channel.ts";
import type { toSupervisor, toWorker, ToWorker } from "../ipc/messages.ts";
import type { WorkerCounters } from "../ipc/stats.ts";
import type { Bus } from "./protocol.ts";

/** Largest message on the bus; a longer one is the plugin's mistake. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

export type WorkerChannel = Channel<typeof toSupervisor, typeof toWorker>;
type Listener = (message: Buffer, from: number) => void;

export type BusClient = {
  /** The bus as one protocol of one vhost sees it; `scope` keeps its topics apart from all others. */
  scoped(scope: string): Bus;
  deliver(message: ToWorker["deliver"]): void;
  departed(worker: number): void;
  arrived(): void;
};

/** Speaks to the supervisor's broker over `channel`. */
export function createBusClient(channel: WorkerChannel, counters: WorkerCounters): BusClient {
  const listeners = new Map<string, Set<Listener>>();
  const departures = new Set<(worker: number) => void>();
  const arrivals = new Set<() => void>();

  function subscribe(topic: string, listener: Listener): () => void {
    const set = listeners.get(topic) ?? new Set();
    if (set.size === 0) channel.send("subscribe", { topic, on: true });
    listeners.set(topic, set.add(listener));
    return () => {
      if (!set.delete(listener) || set.size > 0) return;
      listeners.delete(topic);
      channel.send("subscribe", { topic, on: false });
    };
  }

  return {
    scoped: (scope) => ({
      publish(topic, message) {
        checkTopic(topic);
        const data = typeof message === "string" ? Buffer.from(message) : message;
        if (data.length > MAX_MESSAGE_BYTES)
          throw new RangeError(`Bus message of ${data.length} bytes exceeds ${MAX_MESSAGE_BYTES}`);
        // At most once: what the supervisor cannot take now is lost, and counted.
        if (channel.backlogged) {
          counters.busDropped += 1;
          return;
        }
        counters.busPublished += 1;
        channel.send("publish", { topic: `${scope}/${topic}`, data });
      },
      subscribe(topic, listener) {
        checkTopic(topic);
        return subscribe(`${scope}/${topic}`, listener);
      },
      onDeparture(listener) {
        departures.add(listener);
        return () => void departures.delete(listener);
      },
      onArrival(listener) {
        arrivals.add(listener);
        return () => void arrivals.delete(listener);
      },
    }),
    deliver({ topic, from, data }) {
      for (const listener of listeners.get(topic) ?? []) {
        counters.busDelivered += 1;
        listener(Buffer.from(data.buffer, data.byteOffset, data.byteLength), from);
      }
    },
    departed(worker) {
      for (const listener of departures) listener(worker);
    },
    arrived() {
      for (const listener of arrivals) listener();
    },
  };
}

function checkTopic(topic: string): void {
  if (Buffer.byteLength(topic) > MAX_TOPIC_BYTES)
    throw new RangeError(`A topic of the bus exceeds ${MAX_TOPIC_BYTES} bytes`);
}
