// Threads for what would hold up the event loop: hashing passwords, compressing. The only importer of piscina.
// They start with the first task and end when they were idle for a while; a task that would wait too long is not taken.

import { Piscina } from "piscina";
import type { Logger } from "../log/logger.ts";

/** A thread costs memory while it waits and 30 ms to start: this one is there for the next visitor, and gone at night. */
const IDLE_MS = 30_000;

export type PoolOptions = {
  /** The module whose default export, `(input) => output` or a promise of it, is called in a thread. */
  readonly task: URL;
  /** At most so many at once, in each worker process. */
  readonly threads: number;
  /** Tasks that may run or wait; one more is not taken. */
  readonly maxTasks: number;
  readonly log: Logger;
};

export type TaskOptions = {
  /** Ends a task that still waits, and the thread of one that runs. */
  readonly signal?: AbortSignal;
  /** Buffers of the input that move to the thread instead of being copied. */
  readonly transfer?: readonly ArrayBuffer[];
};

export interface Pool<Input, Output> {
  /** Tasks that run or wait. */
  readonly busy: number;
  /** Undefined when too many tasks wait. Rejects with what the task threw, when its signal aborts, and when the pool is closed. */
  run(input: Input, options?: TaskOptions): Promise<Output> | undefined;
  /** Ends the threads; nothing is waited for. */
  close(): void;
}

/** Makes a pool of its own for one kind of task, so that no kind waits for another. */
export function createPool<Input, Output>(options: PoolOptions): Pool<Input, Output> {
  const { task, threads, maxTasks, log } = options;
  // Threads of many workers share few processors: none is kept that has nothing to do.
  const open = (): Piscina<Input, Output> => {
    const piscina = new Piscina<Input, Output>({
      filename: task.href,
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: IDLE_MS,
      recordTiming: false,
    });
    // A thread that dies between two tasks is nobody's failure; without a listener it would end the worker.
    piscina.on("error", (error) => log.error({ err: error }, "A thread of the pool died"));
    return piscina;
  };
  let piscina: Piscina<Input, Output> | undefined;
  let busy = 0;
  let isClosed = false;

  return {
    get busy() {
      return busy;
    },
    run(input, { signal, transfer } = {}) {
      if (isClosed || busy >= maxTasks) return undefined;
      piscina ??= open();
      busy += 1;
      const running = piscina.run(input, {
        ...(signal && { signal }),
        // Its type is that of another overload of postMessage().
        ...(transfer && { transferList: transfer as never }),
      });
      return running.finally(() => (busy -= 1));
    },
    close() {
      isClosed = true;
      void piscina?.destroy();
    },
  };
}
