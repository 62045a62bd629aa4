// Files in memory, for all mounts of a worker: how many bytes that may be, and who has to go. What is kept under which name,
// and whether it is still true, is each mount's business (mounts/file/kept.ts).

import type { WorkerCounters } from "../ipc/stats.ts";

/** Something that is kept, and the table it stands in. */
export type Kept = {
  readonly table: Map<string, Kept>;
  readonly key: string;
  /** Memory it takes; what it is made of beside its file included. */
  readonly bytes: number;
  /** Asked for since it was last looked at for removal. */
  wasUsed: boolean;
};

type Counts = Pick<WorkerCounters, "cacheHits" | "cacheMisses" | "cacheLoads" | "cacheEvicted">;

export type FileCache<K extends Kept = Kept> = {
  /** Keeps something under its name, in the place of what stands there; what nobody asked for goes to make room. */
  keep(item: K, kind: "file" | "note"): void;
  drop(item: K): void;
  /** A file that is larger than this is not kept. */
  readonly maxFileBytes: number;
  /** Whoever answers from here, or could not, counts that. */
  readonly counts: Counts;
  /** Files kept now. */
  readonly files: number;
  /** Bytes kept now. */
  readonly bytes: number;
};

/** Larger files are sent from disk: reading them costs little beside sending them, and one of them would push out many others. */
const MAX_FILE_BYTES = 256 * 1024;
/** Notes say that there is no file, or what else to answer; who asks for names at random must not push files out. */
const MAX_NOTES = 4096;

/** Makes a cache of up to `maxBytes`; 0 keeps nothing. */
export function createFileCache<K extends Kept = Kept>(
  maxBytes: number,
  counts: Counts = { cacheHits: 0, cacheMisses: 0, cacheLoads: 0, cacheEvicted: 0 },
): FileCache<K> {
  const files = new Set<K>();
  const notes = new Set<K>();
  let bytes = 0;

  function drop(item: K): void {
    if (files.delete(item)) bytes -= item.bytes;
    else if (!notes.delete(item)) return;
    if (item.table.get(item.key) === item) item.table.delete(item.key);
  }

  /** Goes round the oldest first; what was used since the last time gets another turn (the clock algorithm). */
  function makeRoom(queue: Set<K>, isOver: () => boolean): void {
    for (const item of queue) {
      if (!isOver()) return;
      if (item.wasUsed) {
        item.wasUsed = false;
        queue.delete(item);
        queue.add(item);
      } else {
        if (queue === files) counts.cacheEvicted += 1;
        drop(item);
      }
    }
  }

  return {
    maxFileBytes: maxBytes === 0 ? -1 : Math.min(MAX_FILE_BYTES, maxBytes),
    counts,
    get files() {
      return files.size;
    },
    get bytes() {
      return bytes;
    },
    keep(item, kind) {
      const before = item.table.get(item.key);
      if (before) drop(before as K);
      if (maxBytes === 0) return;
      item.table.set(item.key, item);
      if (kind === "note") {
        notes.add(item);
        makeRoom(notes, () => notes.size > MAX_NOTES);
        return;
      }
      counts.cacheLoads += 1;
      files.add(item);
      bytes += item.bytes;
      makeRoom(files, () => bytes > maxBytes);
    },
    drop,
  };
}
