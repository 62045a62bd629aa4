import assert from "node:assert/strict";
import { test } from "node:test";
import { WorkerProcess, type WorkerExit } from "../../supervisor/worker-process.ts";

const MORE_THAN_A_FRAME = 129 * 1024 * 1024;

test("WorkerProcess ends a worker whose configuration is too large to be sent, and says so", async () => {
  const { promise, resolve } = Promise.withResolvers<WorkerExit>();
  const ignore = (): void => {};
  const spec = {
    worker: 1,
    slot: 0,
    generation: 1,
    version: "0",
    config: () => new Uint8Array(MORE_THAN_A_FRAME),
    listeners: [],
    secrets: [],
    passwordFiles: [],
    ticketSecret: new Uint8Array(),
    user: undefined,
    activity: undefined,
    makeHandover: undefined,
  };
  void new WorkerProcess(spec, {
    connected: ignore,
    ready: ignore,
    rejected: ignore,
    serving: ignore,
    withdrawn: ignore,
    connections: ignore,
    leaving: ignore,
    sample: ignore,
    watch: ignore,
    recall: ignore,
    subscribe: ignore,
    publish: ignore,
    store: ignore,
    reopened: ignore,
    logsLost: ignore,
    exit: (_worker, exit) => resolve(exit),
  });
  const exit = await promise;
  assert.equal(exit.signal, "SIGKILL");
  assert.match(exit.reason, /^cannot take its configuration: Frame of \d+ bytes exceeds \d+$/);
});
