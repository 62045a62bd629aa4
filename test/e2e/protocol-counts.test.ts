// What a plugin counts itself appears wherever statistics are told, added up over workers, generations and those that were killed.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { WebSocket } from "ws";
import type { Board } from "../../ipc/board.ts";
import { runPortico, startPortico, waitUntil, type Portico } from "../helpers/server.ts";

/** Counts messages and their bytes, and tells the number of its worker. */
const CHAT = `export default {
  name: "chat",
  start: ({ count, worker }) => ({
    message(peer, message) {
      count("messages");
      count("message_bytes", message.length);
      peer.send(String(worker));
    },
  }),
};`;

const conf = {
  global: { "plugin-dir": "plugins", distribution: "balanced" },
  vhosts: [
    {
      name: "a.test",
      port: 0,
      interface: "127.0.0.1",
      mounts: [{ mountpoint: "/metrics", origin: "metrics://" }],
      "ws-protocols": [{ chat: {} }, { "lws-server-status": { "update-ms": 1 } }],
    },
  ],
};
const KEY = "a.test:0";

async function connect(t: TestContext, portico: Portico): Promise<WebSocket> {
  const socket = new WebSocket(portico.url().replace("http", "ws"), "chat");
  t.after(() => socket.terminate());
  await once(socket, "open");
  return socket;
}

/** The worker that heard it. */
async function say(socket: WebSocket, text: string): Promise<number> {
  socket.send(text);
  const [answer] = (await once(socket, "message")) as [Buffer];
  return Number(answer.toString());
}

function countsOf({ vhosts }: Board): Readonly<Record<string, number>> | undefined {
  return vhosts[0]?.protocolCounts?.["chat"];
}

async function boardWith(portico: Portico, messages: number): Promise<Board> {
  return waitUntil(`${messages} messages in the statistics`, async () => {
    const board = await portico.status();
    return countsOf(board)?.["messages"] === messages && board;
  });
}

test("counters of a plugin's own are in the statistics, over all workers and generations", async (t) => {
  const portico = await startPortico(t, {
    conf,
    files: { "plugins/chat.mjs": CHAT },
    workers: 2,
    expect: [/^Worker died/],
  });
  assert.equal((await portico.status()).vhosts[0]?.protocolCounts, undefined);

  const [one, other] = [await connect(t, portico), await connect(t, portico)];
  const heard = [await say(one, "four"), await say(other, "more"), await say(other, "!")];
  assert.equal(new Set(heard).size, 2, "both workers heard something");
  assert.deepEqual(countsOf(await boardWith(portico, 3)), { messages: 3, message_bytes: 9 });

  assert.equal((await portico.control("reload")).ok, true);
  const late = await connect(t, portico);
  await say(late, "x");
  await say(one, "old");
  const board = await boardWith(portico, 5);
  assert.deepEqual(countsOf(board), { messages: 5, message_bytes: 13 });

  // What was told before a worker is killed stays.
  const { pid } = board.workers.find(({ state }) => state === "serving") ?? {};
  assert.ok(pid !== undefined);
  process.kill(pid, "SIGKILL");
  await waitUntil("another worker serves", async () => {
    const { workers, restarts } = await portico.status();
    return restarts === 1 && workers.filter(({ state }) => state === "serving").length === 2;
  });
  await say(await connect(t, portico), "again");
  assert.deepEqual(countsOf(await boardWith(portico, 6)), { messages: 6, message_bytes: 18 });

  const metrics = await (await fetch(`${portico.url()}/metrics`)).text();
  const labels = `vhost="${KEY}",protocol="chat"`;
  assert.match(metrics, /^# TYPE portico_protocol_events counter$/m);
  for (const [name, value] of [
    ["messages", 6],
    ["message_bytes", 18],
  ])
    assert.ok(
      metrics.includes(`\nportico_protocol_events_total{${labels},counter="${name}"} ${value}\n`),
      metrics,
    );

  const { stdout } = await runPortico(["status", "-c", portico.directory], {
    RUNTIME_DIRECTORY: `${portico.directory}/../run`,
  });
  assert.match(stdout, new RegExp(`^chat +${KEY} +6 messages, 18 message_bytes$`, "m"));

  const page = new WebSocket(portico.url().replace("http", "ws"), "lws-server-status");
  const [text] = (await once(page, "message")) as [Buffer];
  page.terminate();
  const told = (JSON.parse(text.toString()) as { portico: Board }).portico;
  assert.deepEqual(countsOf(told), { messages: 6, message_bytes: 18 });
});
