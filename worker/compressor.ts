// Encodes files in threads and keeps the results: each version of a file is encoded once per coding, however many ask for it at once.
// When too much is asked, nobody waits: the file goes out as it is.

import type { WorkerCounters } from "../ipc/stats.ts";
import type { Logger } from "../log/logger.ts";
import { createByteCache } from "./byte-cache.ts";
import type { CompressInput } from "./compress-task.ts";
import type { Coding } from "./http/representation.ts";
import { createPool } from "./pool.ts";

/** Below this a file fits into one packet with its head: nothing would arrive sooner. */
export const MIN_COMPRESS_BYTES = 1024;
/** Above this it takes a thread too long (0.3 s of brotli) and too much of the cache: such files are compressed beforehand. */
export const MAX_COMPRESS_BYTES = 8 * 1024 * 1024;

/** What all results of one worker process may take. */
const CACHE_BYTES = 32 * 1024 * 1024;
const THREADS = 2;
/** Files that are being read, wait, or are being encoded: at most this many times MAX_COMPRESS_BYTES. */
const MAX_TASKS = 6;

export type CompressSource = {
  /** The same for the same bytes only. */
  readonly identity: string;
  readonly size: number;
  /** Reads the file; what it throws is thrown at everybody who waits for this result. */
  readonly read: () => Promise<Uint8Array>;
};

type Counts = Pick<
  WorkerCounters,
  "compressedFiles" | "compressedFromBytes" | "compressedToBytes" | "compressSkipped"
>;

export interface Compressor {
  /** What is known already: the result, "useless" where it saves nothing, or undefined. */
  known(identity: string, coding: Coding): Uint8Array | "useless" | undefined;
  /** The encoded file; undefined where that saves nothing, or where too many are waiting. */
  compress(source: CompressSource, coding: Coding): Promise<Uint8Array | undefined>;
  /** Bytes kept. */
  readonly bytes: number;
  /** Ends the threads. */
  close(): void;
}

type Kept = { readonly bytes: Uint8Array | "useless" };

/** Makes the compressor of a worker; threads start with the first file. */
export function createCompressor(
  log: Logger,
  counts: Counts = {
    compressedFiles: 0,
    compressedFromBytes: 0,
    compressedToBytes: 0,
    compressSkipped: 0,
  },
): Compressor {
  const cache = createByteCache<Kept>(CACHE_BYTES);
  const running = new Map<string, Promise<Uint8Array | undefined>>();
  const pool = createPool<CompressInput, Uint8Array>({
    task: new URL("./compress-task.ts", import.meta.url),
    threads: THREADS,
    maxTasks: MAX_TASKS,
    log,
  });

  async function encode(
    key: string,
    source: CompressSource,
    coding: Coding,
  ): Promise<Uint8Array | undefined> {
    const bytes = await source.read();
    let encoded: Uint8Array | undefined;
    try {
      encoded = await pool.run({ bytes, coding });
    } catch (error) {
      // The file can still be sent as it is.
      log.error({ err: error }, `Cannot encode a file as ${coding}`);
    }
    if (!encoded) return undefined;
    counts.compressedFiles += 1;
    counts.compressedFromBytes += source.size;
    counts.compressedToBytes += encoded.length;
    const isWorthIt = encoded.length < source.size;
    const kept = isWorthIt ? encoded : ("useless" as const);
    cache.set(key, { bytes: kept }, isWorthIt ? encoded.length : 0);
    return isWorthIt ? encoded : undefined;
  }

  return {
    get bytes() {
      return cache.bytes;
    },
    known: (identity, coding) => cache.get(keyOf(identity, coding))?.bytes,
    async compress(source, coding) {
      const key = keyOf(source.identity, coding);
      const kept = cache.get(key)?.bytes;
      if (kept !== undefined) return kept === "useless" ? undefined : kept;
      const begun = running.get(key);
      if (begun) return begun;
      if (running.size >= MAX_TASKS) {
        counts.compressSkipped += 1;
        return undefined;
      }
      const task = encode(key, source, coding).finally(() => running.delete(key));
      running.set(key, task);
      return task;
    },
    close: () => pool.close(),
  };
}

function keyOf(identity: string, coding: Coding): string {
  return `${coding} ${identity}`;
}
