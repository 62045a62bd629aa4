// A connection over a bare descriptor, as the lane uses it: order, back-pressure, both ends, resets, becoming a socket.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { testBothWays } from "./transport-pair.ts";

testBothWays(
  "BareTransport sends what the kernel does not take at once when it can, in order",
  async (make) => {
    const { client, transport, witness } = await make();
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

testBothWays(
  "BareTransport gives back what came too early, and reads no more meanwhile",
  async (make) => {
    const { client, transport, witness } = await make();
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

testBothWays("BareTransport closes when both sides have ended, whoever was first", async (make) => {
  const first = await make();
  first.transport.end();
  await once(first.client.resume(), "end");
  first.client.end();
  await first.witness.until("CLOSE");
  const second = await make();
  second.client.end();
  await second.witness.until("END");
  second.transport.end();
  await second.witness.until("CLOSE");
  assert.deepEqual([first.closed(), second.closed()], [1, 1]);
});

testBothWays("BareTransport notices a reset, also while nothing is read", async (make) => {
  for (const isPaused of [false, true]) {
    const { client, wire, transport, witness, closed } = await make();
    if (isPaused) {
      client.write("x");
      await witness.until("x");
      transport.giveBack(Buffer.from("x"));
    }
    wire.resetAndDestroy();
    await witness.until("CLOSE");
    assert.equal(closed(), 1);
    assert.equal(transport.leave(Buffer.alloc(0)), undefined);
  }
});

testBothWays(
  "BareTransport drops what comes behind the last answer until the client ends",
  async (make) => {
    const { client, transport, witness } = await make();
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

testBothWays(
  "BareTransport becomes a socket of Node with everything that was not acted on",
  async (make) => {
    const { client, transport, witness, closed } = await make();
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

testBothWays("BareTransport as a socket of Node carries much both ways at once", async (make) => {
  const { client, transport } = await make();
  const { socket } = transport.leave(Buffer.alloc(0)) ?? assert.fail("It has closed");
  const sent = randomBytes(6_000_000);
  // Whoever reads slowly is not sent more than there is room for.
  socket.pipe(socket);
  client.write("text in hexadecimal: ");
  client.write("c3a9", "hex");
  client.end(sent);
  const chunks: Buffer[] = [];
  for await (const chunk of client) {
    chunks.push(chunk as Buffer);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const received = Buffer.concat(chunks);
  const head = Buffer.from("text in hexadecimal: é");
  assert.deepEqual(received.subarray(0, head.length), head);
  assert.ok(received.subarray(head.length).equals(sent));
  assert.equal(socket.bytesRead, received.length);
  assert.equal(socket.bytesWritten, received.length);
});

testBothWays("BareTransport as a socket of Node tells of a reset", async (make) => {
  const { wire, transport, closed } = await make();
  const { socket } = transport.leave(Buffer.alloc(0)) ?? assert.fail("It has closed");
  socket.write(Buffer.alloc(20_000_000));
  socket.resume();
  wire.resetAndDestroy();
  const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
  assert.match(error.code ?? "", /^E(?:CONNRESET|PIPE)$/);
  while (closed() === 0) await new Promise((resolve) => setImmediate(resolve));
});

testBothWays("BareTransport as a socket of Node rings when nothing moves", async (make) => {
  const { client, transport } = await make();
  const { socket } = transport.leave(Buffer.alloc(0)) ?? assert.fail("It has closed");
  socket.setTimeout(20);
  await once(socket, "timeout");
  socket.setTimeout(0);
  // In several encodings and one call.
  socket.cork();
  socket.write("é", "latin1");
  socket.write(Buffer.from("b"));
  socket.uncork();
  socket.end("c");
  const chunks: Buffer[] = [];
  for await (const chunk of client) chunks.push(chunk as Buffer);
  assert.deepEqual(Buffer.concat(chunks), Buffer.from("ébc", "latin1"));
});
