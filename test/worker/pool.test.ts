import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { threadId } from "node:worker_threads";
import { createLogger } from "../../log/logger.ts";
import { createPool, type Pool } from "../../worker/pool.ts";
import type { PoolInput } from "./pool-task.ts";

const TASK = new URL("pool-task.ts", import.meta.url);

async function openPool(
  t: TestContext,
  { threads = 1, maxTasks = 4 } = {},
): Promise<Pool<PoolInput, number>> {
  const log = await createLogger({ name: "test", level: "silent" });
  const pool = createPool<PoolInput, number>({ task: TASK, threads, maxTasks, log });
  t.after(() => pool.close());
  return pool;
}

function createGate(): { readonly gate: Int32Array; readonly open: () => void } {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const open = (): void => {
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
  };
  return { gate, open };
}

test("Pool works in another thread, and uses it again", async (t) => {
  const pool = await openPool(t);
  const first = await pool.run({ kind: "thread" });
  assert.notEqual(first, threadId);
  assert.equal(await pool.run({ kind: "thread" }), first);
  assert.equal(pool.busy, 0);
});

test("Pool takes no more tasks than it may", async (t) => {
  const pool = await openPool(t, { maxTasks: 2 });
  const { gate, open } = createGate();
  const running = pool.run({ kind: "wait", gate });
  const waiting = pool.run({ kind: "thread" });
  assert.equal(pool.busy, 2);
  assert.equal(pool.run({ kind: "thread" }), undefined);
  open();
  await Promise.all([running, waiting]);
  assert.notEqual(await pool.run({ kind: "thread" }), undefined);
});

test("Pool says what a task threw, and goes on", async (t) => {
  const pool = await openPool(t);
  await assert.rejects(async () => await pool.run({ kind: "throw" }), /thrown in the thread/);
  assert.equal(pool.busy, 0);
  assert.ok(await pool.run({ kind: "thread" }));
});

test("Pool replaces a thread that ended", async (t) => {
  const pool = await openPool(t);
  const first = await pool.run({ kind: "thread" });
  await assert.rejects(async () => await pool.run({ kind: "exit" }), /exited with code: 3/);
  assert.equal(pool.busy, 0);
  assert.notEqual(await pool.run({ kind: "thread" }), first);
});

test("Pool forgets a task whose signal aborts, waiting or running", async (t) => {
  const pool = await openPool(t);
  const { gate } = createGate();
  const runs = new AbortController();
  const waits = new AbortController();
  const running = pool.run({ kind: "wait", gate }, { signal: runs.signal });
  const waiting = pool.run({ kind: "thread" }, { signal: waits.signal });
  waits.abort();
  await assert.rejects(async () => await waiting, { name: "AbortError" });
  runs.abort();
  await assert.rejects(async () => await running, { name: "AbortError" });
  assert.ok(await pool.run({ kind: "thread" }));
});

test("Pool moves buffers instead of copying them", async (t) => {
  const pool = await openPool(t);
  const bytes = new Uint8Array(1024);
  assert.equal(await pool.run({ kind: "length", bytes }, { transfer: [bytes.buffer] }), 1024);
  assert.equal(bytes.length, 0);
});

test("Pool rejects what is unfinished when it closes, and takes nothing after", async (t) => {
  const pool = await openPool(t);
  const { gate } = createGate();
  const running = pool.run({ kind: "wait", gate });
  const waiting = pool.run({ kind: "thread" });
  const ended = Promise.allSettled([running, waiting]);
  pool.close();
  assert.deepEqual(
    (await ended).map(({ status }) => status),
    ["rejected", "rejected"],
  );
  assert.equal(pool.run({ kind: "thread" }), undefined);
});
