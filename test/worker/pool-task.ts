// What the threads of pool.test.ts do.

import { threadId } from "node:worker_threads";

export type PoolInput =
  | { readonly kind: "thread" }
  | { readonly kind: "length"; readonly bytes: Uint8Array }
  | { readonly kind: "throw" }
  | { readonly kind: "exit" }
  /** Runs until the counter is no longer 0. */
  | { readonly kind: "wait"; readonly gate: Int32Array };

export default function poolTask(input: PoolInput): number {
  if (input.kind === "thread") return threadId;
  if (input.kind === "length") return input.bytes.length;
  if (input.kind === "throw") throw new RangeError("thrown in the thread");
  if (input.kind === "exit") process.exit(3);
  Atomics.wait(input.gate, 0, 0);
  return threadId;
}
