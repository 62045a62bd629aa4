// The worker's copy of the maps that plugins share with their peers in other workers and generations.
// The supervisor orders all changes; a change of our own holds here at once, and what others did before it arrives later.

import type { ToWorker } from "../ipc/messages.ts";
import { MAX_STORE_KEY_BYTES, MAX_STORE_KEYS, MAX_STORE_VALUE_BYTES } from "../ipc/store.ts";
import type { WorkerChannel } from "./bus.ts";
import type { Store } from "./protocol.ts";

type Listener = Parameters<Store["onChange"]>[0];

type ScopedMap = {
  readonly values: Map<string, Buffer>;
  /** Changes of ours by key that the supervisor has not put in order yet: what others did to such a key came before. */
  readonly pending: Map<string, number>;
  readonly listeners: Set<Listener>;
};

export type StoreClient = {
  /** The map of one protocol of one vhost. */
  scoped(scope: string): Store;
  /** Tells which worker this is. */
  become(worker: number): void;
  stored(change: ToWorker["stored"]): void;
};

/** Keeps the copy and sends changes over `channel`. */
export function createStoreClient(channel: Pick<WorkerChannel, "send">): StoreClient {
  const maps = new Map<string, ScopedMap>();
  let self: number | undefined;

  function mapOf(scope: string): ScopedMap {
    let map = maps.get(scope);
    if (!map)
      maps.set(scope, (map = { values: new Map(), pending: new Map(), listeners: new Set() }));
    return map;
  }

  function apply(map: ScopedMap, key: string, value: Buffer | undefined): void {
    if (value) map.values.set(key, value);
    else map.values.delete(key);
    for (const listener of map.listeners) listener(key, value);
  }

  function change(scope: string, key: string, value: Buffer | undefined): void {
    const map = mapOf(scope);
    map.pending.set(key, (map.pending.get(key) ?? 0) + 1);
    channel.send("store", { scope, key, data: value ?? Buffer.alloc(0), isGone: !value });
    apply(map, key, value);
  }

  return {
    scoped: (scope) => {
      const { values, listeners } = mapOf(scope);
      return {
        get: (key) => values.get(key),
        keys: () => values.keys(),
        set(key, value) {
          const data = Buffer.from(value);
          if (Buffer.byteLength(key) > MAX_STORE_KEY_BYTES)
            throw new RangeError(`A key of the store exceeds ${MAX_STORE_KEY_BYTES} bytes`);
          if (data.length > MAX_STORE_VALUE_BYTES)
            throw new RangeError(`A value of the store exceeds ${MAX_STORE_VALUE_BYTES} bytes`);
          if (!values.has(key) && values.size >= MAX_STORE_KEYS)
            throw new RangeError(`The store exceeds ${MAX_STORE_KEYS} keys`);
          change(scope, key, data);
        },
        delete(key) {
          if (values.has(key)) change(scope, key, undefined);
        },
        onChange(listener) {
          listeners.add(listener);
          return () => void listeners.delete(listener);
        },
      };
    },
    become(worker) {
      self = worker;
    },
    stored({ scope, key, data, isGone, from }) {
      const map = mapOf(scope);
      const waiting = map.pending.get(key) ?? 0;
      const value = isGone ? undefined : Buffer.from(data);
      if (from !== self) {
        if (waiting === 0) apply(map, key, value);
        return;
      }
      if (waiting > 1) map.pending.set(key, waiting - 1);
      else map.pending.delete(key);
      // Ours, unless it was refused.
      const ours = map.values.get(key);
      const isSame = value && ours ? value.equals(ours) : value === ours;
      if (waiting <= 1 && !isSame) apply(map, key, value);
    },
  };
}
