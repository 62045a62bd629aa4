// A connection over a bare descriptor, as the lane uses it: order, back-pressure, both ends, resets, becoming a socket.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test, type TestContext } from "node:test";
import { openPoller, READABLE } from "../../../posix/poller.ts";
import { BareTransport } from "../../../worker/http/bare-transport.ts";
import type { TransportUser } from "../../../worker/http/transport.ts";

const skip = process.platform !== "linux" && "Bare descriptors are for Linux";

/** Writes down what it is told. */
class Witness implements TransportUser {
  readonly told: string[] = [];
  onReceive: ((bytes: Buffer) => void) | undefined;
  receive(bytes: Buffer): void {
    this.told.push(bytes.toString("latin1"));
    this.onReceive?.(Buffer.from(bytes));
  }
  receiveEnd(): void {
    this.told.push("END");
  }
  onFlushed(): void {
    this.told.push("FLUSHED");
  }
  onClose(): void {
    this.told.push("CLOSE");
  }
  async until(what: string): Promise<void> {
    while (!this.told.includes(what)) await new Promise((resolve) => setImmediate(resolve));
  }
}

type Pair = {
  client: net.Socket;
  transport: BareTransport;
  witness: Witness;
  closed: () => number;
};

async function pair(t: TestContext): Promise<Pair> {
  const poller = await openPoller();
  assert.ok(poller);
  const bound = new net.BoundSocket({ host: "127.0.0.1", port: 0 });
  const listener = bound.fd();
  poller.listen(listener, 16);
  const arrived = new Promise<void>((resolve) =>
    poller.watch(listener, READABLE, { onEvents: () => resolve() }),
  );
  const { port } = bound.address();
  const client = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  client.on("error", () => {});
  await Promise.all([once(client, "connect"), arrived]);
  poller.unwatch(listener);
  let closed = 0;
  const transport = new BareTransport(poller, poller.accept(listener), () => (closed += 1));
  const witness = new Witness();
  transport.begin(witness);
  t.after(() => {
    client.destroy();
    transport.destroy();
    poller.stop();
    bound.close();
  });
  return { client, transport, witness, closed: () => closed };
}

test(
  "BareTransport sends what the kernel does not take at once when it can, in order",
  { skip },
  async (t) => {
    const { client, transport, witness } = await pair(t);
    client.pause();
    const large = Buffer.alloc(8_000_000, "x");
    assert.equal(transport.write(Buffer.from("<")), true);
    assert.equal(
      transport.writeAll([Buffer.from("a"), Buffer.from("b"), large, Buffer.from("c")]),
      false,
    );
    assert.equal(transport.write(Buffer.from(">")), false);
    transport.end();
    assert.equal(transport.isWritable, false);
    assert.ok(transport.takenBytes < large.length);
    const chunks: Buffer[] = [];
    for await (const chunk of client) chunks.push(chunk as Buffer);
    const received = Buffer.concat(chunks).toString("latin1");
    assert.equal(received.length, large.length + 5);
    assert.match(received, /^<abx+c>$/);
    assert.equal(transport.takenBytes, received.length);
    assert.deepEqual(witness.told, ["FLUSHED"]);
  },
);

test(
  "BareTransport gives back what came too early, and reads no more meanwhile",
  { skip },
  async (t) => {
    const { client, transport, witness } = await pair(t);
    witness.onReceive = (bytes) => {
      if (witness.told.length === 1) transport.giveBack(bytes);
    };
    client.write("one");
    await witness.until("one");
    const { bytesRead } = transport;
    client.write("two");
    client.end();
    // More turns than reading it would take.
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(transport.bytesRead, bytesRead);
    assert.equal(transport.replay(), true);
    assert.equal(transport.replay(), false);
    transport.resume();
    await witness.until("END");
    assert.deepEqual(witness.told, ["one", "one", "two", "END"]);
  },
);

test("BareTransport closes when both sides have ended, whoever was first", { skip }, async (t) => {
  const first = await pair(t);
  first.transport.end();
  await once(first.client.resume(), "end");
  first.client.end();
  await first.witness.until("CLOSE");
  const second = await pair(t);
  second.client.end();
  await second.witness.until("END");
  second.transport.end();
  await second.witness.until("CLOSE");
  assert.deepEqual([first.closed(), second.closed()], [1, 1]);
});

test("BareTransport notices a reset, also while nothing is read", { skip }, async (t) => {
  for (const isPaused of [false, true]) {
    const { client, transport, witness, closed } = await pair(t);
    if (isPaused) {
      client.write("x");
      await witness.until("x");
      transport.giveBack(Buffer.from("x"));
    }
    client.resetAndDestroy();
    await witness.until("CLOSE");
    assert.equal(closed(), 1);
    assert.equal(transport.leave(Buffer.alloc(0)), undefined);
  }
});

test(
  "BareTransport drops what comes behind the last answer until the client ends",
  { skip },
  async (t) => {
    const { client, transport, witness } = await pair(t);
    transport.write(Buffer.from("bye"));
    transport.discard();
    client.write("x".repeat(300_000));
    let received = "";
    for await (const chunk of client) received += String(chunk);
    assert.equal(received, "bye");
    client.end();
    await witness.until("CLOSE");
    assert.deepEqual(witness.told, ["CLOSE"]);
  },
);

test(
  "BareTransport becomes a socket of Node with everything that was not acted on",
  { skip },
  async (t) => {
    const { client, transport, witness, closed } = await pair(t);
    client.write("head body");
    await witness.until("head body");
    client.end(" more");
    const left = transport.leave(Buffer.from("body"));
    assert.ok(left);
    assert.equal(left.readBefore, "head body".length);
    let received = "";
    left.socket.on("data", (chunk) => (received += String(chunk)));
    await once(left.socket, "end");
    assert.equal(received, "body more");
    assert.equal(closed(), 0);
    left.socket.end("answer");
    let answer = "";
    for await (const chunk of client) answer += String(chunk);
    assert.equal(answer, "answer");
    if (!left.socket.closed) await once(left.socket, "close");
    assert.equal(closed(), 1);
  },
);
