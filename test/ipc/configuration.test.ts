import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig } from "../../config/load.ts";
import { createFrameReader, encodeFrame } from "../../ipc/frame.ts";
import {
  decodeConfiguration,
  encodeConfig,
  toWorker,
  type Configuration,
  type SentConfiguration,
} from "../../ipc/messages.ts";
import { decode } from "../../config/shape.ts";
import { writeConfig } from "../config/fixture.ts";

const MAX_BYTES = 1024 * 1024;

test("decodeConfiguration gives a worker what the supervisor read, whatever its options hold", async (t) => {
  const options = { deep: [{ er: [null, true, 1.5e300, "😀", "é", "\0"] }], toString: "x" };
  const { config } = await loadConfig(
    writeConfig(t, {
      conf: JSON.stringify({
        global: { "server-string": "pörtico" },
        vhosts: [{ port: 0, "ws-protocols": { p: options } }],
      }),
    }),
  );
  const sent: SentConfiguration = {
    worker: 1,
    slot: 0,
    generation: 1,
    version: "0",
    config: encodeConfig(config),
    listeners: [],
    secrets: [],
    passwordFiles: [],
    ticketSecret: new Uint8Array([1, 2]),
    user: undefined,
    activityFd: undefined,
    handoverFd: undefined,
  };
  const received: unknown[] = [];
  createFrameReader(MAX_BYTES, (value) => received.push(value)).push(encodeFrame(sent, MAX_BYTES));
  const decoded = decode(toWorker.configure, received[0]);
  assert.ok(decoded.ok);
  const configuration: Configuration = decodeConfiguration(decoded.value);
  assert.deepEqual(configuration.config, config);
  assert.deepEqual(configuration.config.vhosts[0]?.["ws-protocols"][0]?.options, options);
});
