import assert from "node:assert/strict";
import { hostname } from "node:os";
import { suite, test } from "node:test";
import lwsStatus from "../../plugins/lws-status.ts";
import { Client, handshake, RawClient } from "./clients.ts";
import { createBusDouble, startProtocolServer } from "./protocol-server.ts";

const NAME = "lws-status";

type Status = {
  readonly version: string;
  readonly hostname: string;
  readonly wsi: string;
  readonly conns: readonly { peer: string; time: string; ua: string; unix: string }[];
};

/** The next list of `count` connections. */
async function listOf(client: Client, count: number): Promise<Status> {
  for (;;) {
    const status: Status = JSON.parse(await client.next());
    if (status.conns.length === count) return status;
  }
}

suite(NAME, () => {
  test("tells everybody who is there, at each join and leave", async (t) => {
    const server = await startProtocolServer(t, { protocols: [lwsStatus] });
    const first = await Client.open(t, server.url, NAME);
    const alone = await listOf(first, 1);
    assert.equal(alone.version, "portico-test");
    assert.equal(alone.hostname, hostname());
    assert.equal(alone.wsi, "1");
    assert.equal(alone.conns[0]?.peer, "127.0.0.1");
    assert.match(alone.conns[0]?.time ?? "", /^\d{4}-\d\d-\d\d \d\d:\d\d UTC$/);
    assert.match(alone.conns[0]?.unix ?? "", /^\d{10}$/);

    const second = await Client.open(t, server.url, NAME);
    assert.equal((await listOf(first, 2)).wsi, "2");
    assert.equal((await listOf(second, 2)).wsi, "2");
    second.socket.close();
    assert.equal((await listOf(first, 1)).wsi, "1");
  });

  test("escapes what a client says of itself", async (t) => {
    const server = await startProtocolServer(t, { protocols: [lwsStatus] });
    const ua = '"},{"x":"<script>\\';
    const headers = { "Sec-WebSocket-Protocol": NAME, "User-Agent": ua };
    await RawClient.open(t, server.port, handshake(server.port, headers));
    const watcher = await Client.open(t, server.url, NAME);
    const { conns } = await listOf(watcher, 2);
    assert.ok(conns.some((connection) => connection.ua === ua));
  });

  test("lists the connections of all workers, also for one that comes later", async (t) => {
    const bus = createBusDouble();
    const one = await startProtocolServer(t, { protocols: [lwsStatus], bus, worker: 1 });
    const first = await Client.open(t, one.url, NAME);
    await listOf(first, 1);
    const two = await startProtocolServer(t, { protocols: [lwsStatus], bus, worker: 2 });
    const second = await Client.open(t, two.url, NAME);
    assert.equal((await listOf(second, 2)).wsi, "2");
    assert.equal((await listOf(first, 2)).wsi, "2");
    second.socket.close();
    assert.equal((await listOf(first, 1)).wsi, "1");
  });

  test("forgets a worker that died", async (t) => {
    const bus = createBusDouble();
    const one = await startProtocolServer(t, { protocols: [lwsStatus], bus, worker: 1 });
    const two = await startProtocolServer(t, { protocols: [lwsStatus], bus, worker: 2 });
    const first = await Client.open(t, one.url, NAME);
    await Client.open(t, two.url, NAME);
    await listOf(first, 2);
    bus.depart(2);
    assert.equal((await listOf(first, 1)).wsi, "1");
  });

  test("asks again when an announcement was lost", async (t) => {
    const bus = createBusDouble();
    const one = await startProtocolServer(t, { protocols: [lwsStatus], bus, worker: 1 });
    const two = await startProtocolServer(t, { protocols: [lwsStatus], bus, worker: 2 });
    const first = await Client.open(t, one.url, NAME);
    await listOf(first, 1);
    bus.loseNext();
    await Client.open(t, two.url, NAME);
    await Client.open(t, two.url, NAME);
    // The second join says "2", only one of them is known: worker 1 asks, worker 2 sends all.
    assert.equal((await listOf(first, 3)).wsi, "3");
  });

  test("tells of a storm of joins in few messages", async (t) => {
    const server = await startProtocolServer(t, { protocols: [lwsStatus] });
    const watcher = await Client.open(t, server.url, NAME);
    let messages = 0;
    watcher.socket.addEventListener("message", () => {
      messages += 1;
    });
    const count = 60;
    await Promise.all(Array.from({ length: count }, () => Client.open(t, server.url, NAME)));
    assert.equal((await listOf(watcher, count + 1)).wsi, String(count + 1));
    assert.ok(messages < count, `${messages} messages for ${count} joins`);
  });
});
