import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";
import tls from "node:tls";
import * as fc from "fast-check";
import { createOpeningReader, MAX_HELLO_BYTES, type Opening } from "../../worker/client-hello.ts";

/** What a client of Node's really sends first. */
async function realHello(options: tls.ConnectionOptions): Promise<Buffer> {
  const server = net.createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  const client = tls.connect({ ...options, port, host: "127.0.0.1" });
  client.on("error", () => {});
  const [socket] = (await once(server, "connection")) as [net.Socket];
  const [bytes] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

function read(bytes: Buffer, cuts: readonly number[] = []): Opening | undefined {
  const reader = createOpeningReader();
  const ends = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])];
  let start = 0;
  for (const end of ends.toSorted((a, b) => a - b)) {
    if (end === start) continue;
    const opening = reader.push(bytes.subarray(start, end));
    if (opening) return opening;
    start = end;
  }
  return undefined;
}

function vector(lengthBytes: number, content: Buffer): Buffer {
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(content.length, 0, lengthBytes);
  return Buffer.concat([length, content]);
}

function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type >> 8, type & 255]), vector(2, content)]);
}

function serverName(name: string): Buffer {
  const entry = Buffer.concat([Buffer.from([0]), vector(2, Buffer.from(name))]);
  return extension(0, vector(2, entry));
}

/** A handshake message, without records. */
function hello(extensions: Buffer | undefined, sessionId: Buffer = Buffer.alloc(32)): Buffer {
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    vector(1, sessionId),
    vector(2, Buffer.from([0x13, 0x01])),
    vector(1, Buffer.from([0])),
    ...(extensions ? [vector(2, extensions)] : []),
  ]);
  return Buffer.concat([Buffer.from([1]), vector(3, body)]);
}

function inRecords(message: Buffer, recordBytes = 16_384): Buffer {
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += recordBytes)
    records.push(Buffer.from([22, 3, 1]), vector(2, message.subarray(at, at + recordBytes)));
  return Buffer.concat(records);
}

const named = (name: string | undefined): Opening => ({ kind: "tls", serverName: name });

test("createOpeningReader finds the name in the hello of a real client", async () => {
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const)
    assert.deepEqual(
      read(await realHello({ servername: "a.example", maxVersion })),
      named("a.example"),
    );
});

test("createOpeningReader finds no name where a real client sends none", async () => {
  assert.deepEqual(read(await realHello({})), named(undefined));
});

test("createOpeningReader takes any pieces and records", async () => {
  const whole = await realHello({ servername: "pieces.example" });
  const message = whole.subarray(5);
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 4_000 }), { maxLength: 40 }),
      fc.integer({ min: 1, max: 3_000 }),
      (cuts, recordBytes) => {
        assert.deepEqual(read(inRecords(message, recordBytes), cuts), named("pieces.example"));
      },
    ),
  );
  const everyByte = Array.from({ length: whole.length }, (_, at) => at);
  assert.deepEqual(read(whole, everyByte), named("pieces.example"));
});

test("createOpeningReader waits for the last byte of a hello", () => {
  const whole = inRecords(hello(serverName("a.example")));
  assert.equal(read(whole.subarray(0, -1)), undefined);
  assert.deepEqual(read(whole), named("a.example"));
});

test("createOpeningReader reads hellos over many records, up to its limit", () => {
  const padded = (bytes: number) =>
    inRecords(
      hello(Buffer.concat([extension(21, Buffer.alloc(bytes)), serverName("huge.example")])),
    );
  assert.deepEqual(read(padded(40_000)), named("huge.example"));
  const beyond = Buffer.concat([1, 2].map(() => extension(21, Buffer.alloc(MAX_HELLO_BYTES / 2))));
  const body = Buffer.concat([hello(undefined).subarray(4), Buffer.from([0xff, 0xff]), beyond]);
  const tooLarge = Buffer.concat([Buffer.from([1]), vector(3, body)]);
  assert.deepEqual(read(inRecords(tooLarge)), named(undefined));
});

test("createOpeningReader ends when records bring too little for their number", () => {
  // Six bytes for each byte of a message: the limit holds for what arrives, not for what it comes to.
  const message = hello(extension(21, Buffer.alloc(MAX_HELLO_BYTES / 4)));
  const records = inRecords(message, 1);
  assert.ok(message.length < MAX_HELLO_BYTES && records.length > MAX_HELLO_BYTES);
  const reader = createOpeningReader();
  let arrived = 0;
  for (let at = 0; at < records.length; at += 1_000) {
    arrived = at;
    if (reader.push(records.subarray(at, at + 1_000))) break;
  }
  assert.ok(arrived <= MAX_HELLO_BYTES, `read ${arrived} bytes`);
});

const nameless: readonly [what: string, bytes: Buffer][] = [
  ["no extensions", inRecords(hello(undefined))],
  ["extensions that end early", inRecords(hello(serverName("a.example").subarray(0, -3)))],
  ["an empty name", inRecords(hello(serverName("")))],
  ["an empty server_name", inRecords(hello(extension(0, Buffer.alloc(0))))],
  ["a name of another type", inRecords(hello(extension(0, vector(2, Buffer.from([1, 0, 1, 65])))))],
  ["a name longer than its list", inRecords(hello(extension(0, Buffer.from([0, 4, 0, 0, 9, 65]))))],
  ["another handshake message", inRecords(Buffer.from([2, 0, 0, 0]))],
  ["another record", Buffer.from([23, 3, 3, 0, 1, 0])],
  ["an alert", Buffer.from([21, 3, 1, 0, 2, 2, 40])],
  ["an empty record", Buffer.from([22, 3, 1, 0, 0])],
  ["a record beyond its size", Buffer.from([22, 3, 1, 0xff, 0xff])],
  ["a hello beyond any size", Buffer.from([22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff])],
  ["the hello of SSL 2.0", Buffer.from([0x80, 0x2e, 1, 0, 2])],
];

for (const [what, bytes] of nameless)
  test(`createOpeningReader leaves ${what} to OpenSSL`, () => {
    assert.deepEqual(read(bytes), named(undefined));
  });

test("createOpeningReader tells text by its first byte", () => {
  for (const text of ["G", "GET / HTTP/1.1\r\n", "\r\n", " x", "~"])
    assert.deepEqual(read(Buffer.from(text)), { kind: "text" });
});

test("createOpeningReader answers any bytes, however they are cut", () => {
  const real = inRecords(hello(serverName("a.example")));
  const mutated = fc
    .array(fc.tuple(fc.nat({ max: real.length - 1 }), fc.nat({ max: 255 })), { maxLength: 8 })
    .map((edits) => {
      const bytes = Buffer.from(real);
      for (const [at, value] of edits) bytes[at] = value;
      return bytes;
    });
  const anything = fc
    .uint8Array({ minLength: 1, maxLength: 400 })
    .map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(
      fc.oneof(mutated, anything),
      fc.array(fc.nat({ max: 400 }), { maxLength: 20 }),
      (bytes, cuts) => {
        assert.deepEqual(read(bytes, cuts), read(bytes));
      },
    ),
    { numRuns: 2_000 },
  );
});
