// Values within a budget of bytes; those used last stay. The only importer of lru-cache.

import { LRUCache } from "lru-cache";

export interface ByteCache<Value> {
  get(key: string): Value | undefined;
  /** `bytes` is what the value takes; one that takes more than the whole budget is not kept. */
  set(key: string, value: Value, bytes: number): void;
  delete(key: string): void;
  clear(): void;
  /** Bytes that are taken, entries included. */
  readonly bytes: number;
}

/** What an entry takes beside its value and the characters of its key: without it, a million empty values would cost nothing. */
const ENTRY_BYTES = 200;

/** Makes an empty cache. */
export function createByteCache<Value extends object>(maxBytes: number): ByteCache<Value> {
  const entries = new LRUCache<string, Value>({ maxSize: maxBytes });
  return {
    get: (key) => entries.get(key),
    set: (key, value, bytes) =>
      void entries.set(key, value, { size: bytes + 2 * key.length + ENTRY_BYTES }),
    delete: (key) => void entries.delete(key),
    clear: () => entries.clear(),
    get bytes() {
      return entries.calculatedSize;
    },
  };
}
