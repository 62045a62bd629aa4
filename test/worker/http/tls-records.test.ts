// TLS clients that send what no honest one does, over a bare descriptor: none holds up the others, spins, or stays for ever.

import assert from "node:assert/strict";
import { once } from "node:events";
import { recordType } from "../../helpers/tls-records.ts";
import { testThroughTls } from "./transport-pair.ts";

const LARGE = Buffer.alloc(16_000_000, "x");

testThroughTls(
  "A client that says nothing but KeyUpdate is cut, and others have their turns before",
  async (make) => {
    const { wire, records, transport, witness } = await make();
    const updates = Array.from({ length: 5_000 }, () => records.keyUpdate(false));
    let turns = 0;
    let isOver = false;
    void witness.until("CLOSE").then(() => (isOver = true));
    wire.write(Buffer.concat(updates));
    while (!isOver) {
      turns += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(witness.told, ["CLOSE"]);
    assert.ok(turns > 3, `all was read in ${turns} turns`);
    assert.equal(transport.isWritable, false);
  },
);

testThroughTls("KeyUpdate with data between is no reason to cut", async (make) => {
  const { wire, records, witness } = await make();
  for (let round = 0; round < 40; round += 1) {
    const updates = Array.from({ length: 100 }, () => records.keyUpdate(round % 2 === 0));
    wire.write(Buffer.concat([...updates, records.record(recordType.data, Buffer.from("x"))]));
    while (witness.told.length <= round) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(witness.told.join(""), "x".repeat(40));
});

testThroughTls("A KeyUpdate in the middle of a download changes the keys of both", async (make) => {
  const { client, wire, records, transport } = await make();
  client.pause();
  assert.equal(transport.write(LARGE), false);
  wire.write(records.keyUpdate(true));
  transport.end();
  let bytes = 0;
  for await (const chunk of client) bytes += (chunk as Buffer).length;
  assert.equal(bytes, LARGE.length);
});

testThroughTls("Half a KeyUpdate in the middle of a download ends it", async (make) => {
  const { client, wire, records, transport, witness } = await make();
  client.pause();
  assert.equal(transport.write(LARGE), false);
  await new Promise<void>((resolve) => wire.write(records.halfKeyUpdate(), () => resolve()));
  client.resume();
  await witness.until("CLOSE");
  assert.ok(transport.takenBytes < LARGE.length);
});

testThroughTls("Half a KeyUpdate ends a stream too", async (make) => {
  const { client, wire, records, transport } = await make();
  client.pause();
  const socket = transport.leave(Buffer.alloc(0))?.socket;
  assert.ok(socket);
  socket.resume();
  socket.write(LARGE);
  const failed = once(socket, "error") as Promise<[NodeJS.ErrnoException]>;
  await new Promise<void>((resolve) => wire.write(records.halfKeyUpdate(), () => resolve()));
  client.resume();
  const [error] = await failed;
  assert.equal(error.code, "ECONNRESET");
});

testThroughTls("A stream of small records is read in many turns", async (make) => {
  const { wire, records, transport } = await make();
  const socket = transport.leave(Buffer.alloc(0))?.socket;
  assert.ok(socket);
  const chunks: string[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk.toString()));
  const small = Array.from("abcdefghij".repeat(100), (letter) =>
    records.record(recordType.data, Buffer.from(letter)),
  );
  wire.write(Buffer.concat(small));
  while (chunks.join("").length < small.length) await once(socket, "data");
  assert.equal(chunks.join(""), "abcdefghij".repeat(100));
  assert.ok(chunks.length >= small.length / 32, `${chunks.length} turns`);
});
