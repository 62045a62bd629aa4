import assert from "node:assert/strict";
import { once } from "node:events";
import test, { type TestContext } from "node:test";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";

const MIRROR = "lws-mirror-protocol";
const BURST = 500;
const CROWD = 24;

function conf(global: Record<string, unknown> = {}): {
  global: Record<string, unknown>;
  vhosts: unknown[];
} {
  return {
    global,
    vhosts: [
      { name: "localhost", port: 0, mounts: [], "ws-protocols": [{ [MIRROR]: { status: "ok" } }] },
    ],
  };
}

type Client = {
  readonly socket: WebSocket;
  readonly received: string[];
  readonly closed: Promise<CloseEvent>;
};

async function connect(t: TestContext, portico: Portico): Promise<Client> {
  const socket = new WebSocket(portico.url().replace("http", "ws"), MIRROR);
  t.after(() => socket.close());
  const received: string[] = [];
  socket.addEventListener("message", (event) => received.push(String(event.data)));
  const closed = once(socket, "close").then(([event]) => event as CloseEvent);
  await once(socket, "open");
  return { socket, received, closed };
}

/** Connects clients, of which both workers have some, as the statistics tell. */
async function connectToBoth(t: TestContext, portico: Portico): Promise<Client[]> {
  const clients = await Promise.all(Array.from({ length: CROWD }, () => connect(t, portico)));
  await waitUntil("connections on both workers", async () => {
    const { workers } = await portico.status();
    const open = workers
      .filter((worker) => worker.state === "serving")
      .map((worker) => worker.gauges.openWebSockets);
    return (
      open.length === 2 && open.every((count) => count > 0) && open.reduce((a, b) => a + b) >= CROWD
    );
  });
  return clients;
}

test("what one client draws all clients on all workers see, in order and whole", async (t) => {
  const portico = await startPortico(t, { conf: conf({ distribution: "balanced" }), workers: 2 });
  const clients = await connectToBoth(t, portico);
  const messages = Array.from({ length: BURST }, (_, n) => `d #000000 ${n} 0 1 1;`);
  for (const message of messages) clients[0]?.socket.send(message);
  for (const [index, client] of clients.entries()) {
    await waitUntil(`client ${index} to have all`, () => client.received.length >= BURST);
    assert.deepEqual(client.received, messages);
  }
  const { counters } = await waitUntil("the bus in the statistics", async () => {
    const board = await portico.status();
    return board.counters.busDelivered >= BURST && board.counters.busPublished >= BURST && board;
  });
  assert.equal(counters.busPublished, BURST);
  assert.equal(counters.busDropped, 0);
});

test("who connected before a reload and who came after share one world", async (t) => {
  const portico = await startPortico(t, { conf: conf(), workers: 1 });
  const before = await connect(t, portico);
  assert.equal((await portico.control("reload")).ok, true);
  const after = await connect(t, portico);
  const { workers } = await portico.status();
  assert.deepEqual(workers.map((worker) => worker.state).toSorted(), ["draining", "serving"]);
  after.socket.send("from after");
  await waitUntil("the old client to see it", () => before.received.includes("from after"));
  before.socket.send("from before");
  await waitUntil("the new client to see it", () => after.received.includes("from before"));
  before.socket.close();
  await waitUntil(
    "the old generation to go",
    async () => (await portico.status()).workers.length === 1,
  );
});

test("a draining worker closes WebSockets with 1012 after drain-secs", async (t) => {
  const portico = await startPortico(t, { conf: conf({ "drain-secs": 1 }), workers: 1 });
  const client = await connect(t, portico);
  assert.equal((await portico.control("reload")).ok, true);
  const { code } = await client.closed;
  assert.equal(code, 1012);
  await waitUntil(
    "the old generation to go",
    async () => (await portico.status()).workers.length === 1,
  );
});

test("a stopping server closes WebSockets with 1001", async (t) => {
  const portico = await startPortico(t, { conf: conf(), workers: 1 });
  const client = await connect(t, portico);
  portico.signal("SIGTERM");
  assert.equal((await client.closed).code, 1001);
  assert.deepEqual(await once(portico.process, "exit"), [0, null]);
});

test("with four generations alive the oldest gives up its WebSockets for the next reload", async (t) => {
  const portico = await startPortico(t, { conf: conf(), workers: 1 });
  const clients: Client[] = [];
  for (let generation = 1; generation <= 4; generation += 1) {
    clients.push(await connect(t, portico));
    assert.equal((await portico.control("reload")).ok, true);
  }
  assert.equal((await clients[0]?.closed)?.code, 1012);
  for (const client of clients.slice(1)) assert.equal(client.socket.readyState, WebSocket.OPEN);
  assert.equal((await portico.status()).workers.length, 4);
});

test("counters of a WebSocket stay when its worker is gone", async (t) => {
  const portico = await startPortico(t, { conf: conf(), workers: 1 });
  const client = await connect(t, portico);
  client.socket.send("hello");
  await waitUntil("the echo", () => client.received.length === 1);
  client.socket.close();
  await client.closed;
  assert.equal((await portico.control("reload")).ok, true);
  await waitUntil(
    "the old generation to go",
    async () => (await portico.status()).workers.length === 1,
  );
  const { totals } = await portico.status();
  assert.equal(totals.upgrades, 1);
  assert.ok(totals.rx > 0 && totals.tx > 0);
});
