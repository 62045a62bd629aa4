import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { createLogger, type Logger } from "../../log/logger.ts";
import { SEND_QUEUE_LIMIT_MESSAGES } from "../../worker/peer.ts";
import {
  defineProtocol,
  type Peer,
  type ProtocolInstance,
  type SendQueue,
} from "../../worker/protocol.ts";
import { Client, frame, RawClient } from "../plugins/clients.ts";
import { startProtocolServer } from "../plugins/protocol-server.ts";

const DEFAULT_QUEUE_BYTES = 1024 * 1024;

function serve(
  t: TestContext,
  instance: ProtocolInstance,
  options: Partial<Parameters<typeof startProtocolServer>[1]> = {},
  sendQueue?: SendQueue,
) {
  const start = () => instance;
  const protocol = defineProtocol({ name: "probe", start, ...(sendQueue && { sendQueue }) });
  return startProtocolServer(t, { protocols: [protocol], ...options });
}

type LogLine = { readonly msg: string; readonly protocol: string };

function loggerTo(lines: string[]): Promise<Logger> {
  return createLogger({
    name: "test",
    destination: { write: (line) => void lines.push(line) },
  });
}

suite("Peer whose protocol throws", () => {
  const failing: Record<string, ProtocolInstance> = {
    "in open": {
      open() {
        throw new Error("Out of luck");
      },
    },
    "in message": {
      message() {
        throw new Error("Out of luck");
      },
    },
    "after an await": {
      async message() {
        await Promise.resolve();
        throw new Error("Out of luck");
      },
    },
    "for a close code that may not be sent": {
      message: (peer) => peer.close(1006, "made up"),
    },
  };
  for (const [where, instance] of Object.entries(failing)) {
    test(`${where} closes with 1011, is logged, and takes nobody along`, async (t) => {
      const lines: string[] = [];
      const server = await serve(t, instance, { logger: await loggerTo(lines) });
      const bystander = where === "in open" ? undefined : await Client.open(t, server.url, "probe");
      const client = await Client.open(t, server.url, "probe");
      client.socket.send("go");
      assert.equal((await client.closed).code, 1011);
      assert.equal(lines.length, 1);
      const logged: LogLine = JSON.parse(lines[0] ?? "");
      assert.equal(logged.msg, "Protocol plugin failed");
      assert.equal(logged.protocol, "probe");
      assert.equal(bystander?.socket.readyState, bystander && WebSocket.OPEN);
    });
  }

  test("in close is logged, and nothing more", async (t) => {
    const lines: string[] = [];
    const instance: ProtocolInstance = {
      close() {
        throw new Error("Out of luck");
      },
    };
    const server = await serve(t, instance, { logger: await loggerTo(lines) });
    const client = await Client.open(t, server.url, "probe");
    client.socket.close();
    await client.closed;
    await server.deserted();
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? "", /Out of luck/);
  });

  test("hears of no message after that", async (t) => {
    const heard: string[] = [];
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const server = await serve(t, {
      message(_peer, message) {
        heard.push(message.toString());
        throw new Error("Out of luck");
      },
      close: () => resolve(),
    });
    const client = await RawClient.upgrade(t, server.port, "probe");
    client.socket.write(Buffer.concat([frame("1"), frame("2"), frame("3")]));
    assert.equal(await client.closeCode(), 1011);
    client.socket.end();
    await ended;
    assert.deepEqual(heard, ["1"]);
  });
});

suite("Peer.send", () => {
  test("cuts a peer that never reads, and goes on with the others", async (t) => {
    const peers = new Set<Peer>();
    const { promise: cut, resolve } = Promise.withResolvers<{ peer: Peer; code: number }>();
    const server = await serve(
      t,
      {
        open: (peer) => void peers.add(peer),
        close(peer, code) {
          peers.delete(peer);
          resolve({ peer, code });
        },
      },
      { limits: { closeMs: 50 } },
    );
    const deaf = await RawClient.upgrade(t, server.port, "probe");
    deaf.socket.pause();
    const [deafPeer] = peers;
    const reader = await Client.open(t, server.url, "probe");
    const block = "x".repeat(64 * 1024);
    // Kernel buffers take some megabytes before anything waits here.
    for (let sent = 0; peers.size === 2 && sent < 20_000; sent += 1) {
      for (const peer of peers) peer.send(block);
      assert.equal(await reader.next(), block);
    }
    const { peer, code } = await cut;
    assert.equal(peer, deafPeer);
    assert.equal(code, 1006);
    assert.equal(peer.send("more"), false);
    assert.equal(server.upgrader.open, 1);
  });

  test("cuts a peer for very many tiny messages, each of which costs more than its bytes", async (t) => {
    const { promise: opened, resolve } = Promise.withResolvers<Peer>();
    const server = await serve(t, { open: resolve }, { limits: { closeMs: 50 } });
    await RawClient.upgrade(t, server.port, "probe");
    const peer = await opened;
    server.sockets[0]?.cork(); // as a kernel whose buffers are full
    let sent = 0;
    while (peer.send("x")) sent += 1;
    assert.equal(sent, SEND_QUEUE_LIMIT_MESSAGES + 1);
    await server.deserted();
  });

  test("tells a peer that reads too slowly why it is closed", async (t) => {
    const { promise: opened, resolve } = Promise.withResolvers<Peer>();
    const server = await serve(t, { open: resolve });
    const client = await RawClient.upgrade(t, server.port, "probe");
    const peer = await opened;
    const [socket] = server.sockets;
    socket?.cork();
    while (peer.send("x")) assert.ok(peer);
    process.nextTick(() => socket?.uncork());
    assert.equal(await client.closeCode(), 1013);
    assert.equal(server.counters.worker.wsTooSlow, 1);
  });

  test('drops what comes when the queue of a "drop" protocol is full, and goes on', async (t) => {
    const { promise: opened, resolve } = Promise.withResolvers<Peer>();
    const queue = { whenFull: "drop", maxBytes: 10 } as const;
    const server = await serve(t, { open: resolve }, {}, queue);
    const client = await RawClient.upgrade(t, server.port, "probe");
    const peer = await opened;
    server.sockets[0]?.cork();
    assert.deepEqual(
      ["first", "second", "third"].map((text) => peer.send(text)),
      [true, true, false],
    );
    server.sockets[0]?.uncork();
    assert.equal((await client.frame()).payload.toString(), "first");
    assert.equal((await client.frame()).payload.toString(), "second");
    assert.equal(peer.send("fourth"), true);
    assert.equal((await client.frame()).payload.toString(), "fourth");
    assert.equal(server.counters.worker.wsDropped, 1);
  });

  test('keeps only the newest message waiting for a "newest" protocol', async (t) => {
    const { promise: opened, resolve } = Promise.withResolvers<Peer>();
    const server = await serve(t, { open: resolve }, {}, { whenFull: "newest" });
    const client = await RawClient.upgrade(t, server.port, "probe");
    const peer = await opened;
    server.sockets[0]?.cork();
    for (const text of ["first", "second", "third", "fourth"]) assert.equal(peer.send(text), true);
    server.sockets[0]?.uncork();
    assert.equal((await client.frame()).payload.toString(), "first");
    assert.equal((await client.frame()).payload.toString(), "fourth");
    assert.equal(server.counters.worker.wsDropped, 2);
  });

  test("takes one message larger than the queue when nothing waits", async (t) => {
    const server = await serve(t, {
      open: (peer) => void peer.send("x".repeat(2 * DEFAULT_QUEUE_BYTES)),
    });
    const client = await Client.open(t, server.url, "probe");
    assert.equal((await client.next()).length, 2 * DEFAULT_QUEUE_BYTES);
  });

  test("says false once the peer is closing", async (t) => {
    const results: boolean[] = [];
    const server = await serve(t, {
      open(peer) {
        results.push(peer.send("hello"));
        peer.close();
        results.push(peer.send("too late"));
      },
    });
    const client = await Client.open(t, server.url, "probe");
    assert.equal((await client.closed).code, 1000);
    assert.equal(await client.next(), "hello");
    assert.equal(client.waiting, 0);
    assert.deepEqual(results, [true, false]);
  });
});

test("Peer hands on messages that crossed its own close frame", async (t) => {
  const { promise: heard, resolve } = Promise.withResolvers<string>();
  const server = await serve(t, {
    open: (peer) => peer.close(1012),
    message: (_peer, message) => resolve(message.toString()),
  });
  const client = await RawClient.upgrade(t, server.port, "probe");
  assert.equal(await client.closeCode(), 1012);
  client.socket.write(frame("the last stroke"));
  assert.equal(await heard, "the last stroke");
});

test("Peer closes a client that sends more messages than it may", async (t) => {
  const heard: string[] = [];
  const server = await serve(
    t,
    { message: (_peer, message) => void heard.push(message.toString()) },
    { keys: { "max-messages-per-sec": 2 } },
  );
  const client = await RawClient.upgrade(t, server.port, "probe");
  // Twice the rate is a burst that counts as well-behaved.
  const messages = Array.from({ length: 10 }, (_, index) => frame(String(index)));
  client.socket.write(Buffer.concat(messages));
  assert.equal(await client.closeCode(), 1008);
  assert.deepEqual(heard.slice(0, 4), ["0", "1", "2", "3"]);
  assert.ok(heard.length < 10);
});
