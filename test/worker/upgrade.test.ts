import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { constants, deflateRawSync } from "node:zlib";
import { defineProtocol } from "../../worker/protocol.ts";
import { Client, frame, handshake, HANDSHAKE_KEY, RawClient } from "../plugins/clients.ts";
import { startProtocolServer, type ProtocolServer } from "../plugins/protocol-server.ts";

const MAX_MESSAGE = 1000;

/** Sends back what it gets. */
const echo = defineProtocol({
  name: "echo",
  maxMessageBytes: MAX_MESSAGE,
  start: () => ({
    message(peer, message, isBinary) {
      peer.send(isBinary ? message : message.toString("utf8"));
    },
  }),
});

const other = defineProtocol({ name: "other", start: () => ({}) });

function start(
  t: TestContext,
  options: Partial<Parameters<typeof startProtocolServer>[1]> = {},
): Promise<ProtocolServer> {
  return startProtocolServer(t, { protocols: [other, echo], ...options });
}

type Refused = {
  readonly what: string;
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly requestLine?: string;
  readonly answer?: RegExp;
};

const refused: readonly Refused[] = [
  {
    what: "version 7",
    status: 426,
    headers: { "Sec-WebSocket-Version": "7" },
    answer: /^Sec-WebSocket-Version: 13\r$/m,
  },
  { what: "no version", status: 426, headers: { "Sec-WebSocket-Version": undefined } },
  { what: "no key", status: 400, headers: { "Sec-WebSocket-Key": undefined } },
  { what: "the key x", status: 400, headers: { "Sec-WebSocket-Key": "x" } },
  {
    what: "a key of 15 bytes",
    status: 400,
    headers: { "Sec-WebSocket-Key": btoa("x".repeat(15)) },
  },
  { what: "an unknown protocol", status: 400, headers: { "Sec-WebSocket-Protocol": "nope" } },
  {
    what: "a name every object has",
    status: 400,
    headers: { "Sec-WebSocket-Protocol": "__proto__" },
  },
  { what: "a list with a hole", status: 400, headers: { "Sec-WebSocket-Protocol": "echo,,other" } },
  { what: "a protocol twice", status: 400, headers: { "Sec-WebSocket-Protocol": "echo, echo" } },
  { what: "no protocol where none is default", status: 400, headers: {} },
  { what: "another site", status: 403, headers: { Origin: "http://evil.example" } },
  { what: "another port of the host", status: 403, headers: { Origin: "http://127.0.0.1:1" } },
  { what: "a sandboxed page", status: 403, headers: { Origin: "null" } },
  { what: "a file", status: 403, headers: { Origin: "file://" } },
];

suite("Upgrader and pages of other sites", () => {
  const keys = { origins: ["https://App.example.com", "http://localhost:3000"] };
  const admitted = ["https://app.example.com", "http://localhost:3000"];
  const foreign = [
    "https://evil.example",
    "http://app.example.com",
    "https://app.example.com:8443",
  ];
  for (const origin of admitted)
    test(`takes ${origin}, which is configured`, async (t) => {
      const server = await start(t, { keys, defaultProtocol: "echo" });
      const client = await RawClient.open(
        t,
        server.port,
        handshake(server.port, { Origin: origin }),
      );
      assert.match(await client.head(), /^HTTP\/1\.1 101 /);
    });
  for (const origin of foreign)
    test(`refuses ${origin}, which is not`, async (t) => {
      const server = await start(t, { keys, defaultProtocol: "echo" });
      const client = await RawClient.open(
        t,
        server.port,
        handshake(server.port, { Origin: origin }),
      );
      assert.match(await client.head(), /^HTTP\/1\.1 403 /);
    });
  test('takes any page for "*"', async (t) => {
    const server = await start(t, { keys: { origins: ["*"] }, defaultProtocol: "echo" });
    const client = await RawClient.open(t, server.port, handshake(server.port, { Origin: "null" }));
    assert.match(await client.head(), /^HTTP\/1\.1 101 /);
  });
});

suite("Upgrader with permessage-deflate", () => {
  const offer = { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" };
  const deflated = (text: string) =>
    frame(deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4), {
      rsv: 4,
    });

  test("does not take the offer unless it is configured", async (t) => {
    const server = await start(t, { defaultProtocol: "echo" });
    const client = await RawClient.open(t, server.port, handshake(server.port, offer));
    assert.doesNotMatch(await client.head(), /Sec-WebSocket-Extensions/i);
  });

  test("inflates what comes and answers compressed where that pays", async (t) => {
    const keys = { "permessage-deflate": true, "max-message-bytes": 100_000 };
    const server = await start(t, { keys, defaultProtocol: "echo" });
    const client = await RawClient.open(t, server.port, handshake(server.port, offer));
    assert.match(await client.head(), /permessage-deflate; server_no_context_takeover/);
    client.socket.write(Buffer.concat([deflated("hello"), deflated("x".repeat(50_000))]));
    assert.equal((await client.frame()).payload.toString(), "hello");
    const { payload } = await client.frame();
    assert.ok(payload.length < 1000, `${payload.length} bytes for 50,000 equal ones`);
  });

  test("closes with 1009 for a small message that is a large one inside", async (t) => {
    const server = await start(t, {
      keys: { "permessage-deflate": true },
      defaultProtocol: "echo",
    });
    const client = await RawClient.open(t, server.port, handshake(server.port, offer));
    await client.head();
    client.socket.write(deflated("x".repeat(MAX_MESSAGE + 1)));
    assert.equal(await client.closeCode(), 1009);
  });
});

const ignored: readonly Refused[] = [
  { what: "a POST", status: 404, requestLine: "POST / HTTP/1.1" },
  { what: "HTTP/1.0", status: 404, requestLine: "GET / HTTP/1.0" },
  { what: "an upgrade to something else", status: 404, headers: { Upgrade: "h2c" } },
  { what: "a request without Connection: upgrade", status: 404, headers: { Connection: "close" } },
  { what: "a body by length", status: 404, headers: { "Content-Length": "5" } },
  { what: "a chunked body", status: 404, headers: { "Transfer-Encoding": "chunked" } },
];

suite("Upgrader never sees, because it is answered as an ordinary request,", () => {
  for (const { what, status, headers, requestLine } of ignored) {
    test(what, async (t) => {
      const server = await start(t, { defaultProtocol: "echo" });
      const request = handshake(server.port, headers, requestLine);
      // The end of the chunked body, or the five bytes of the other.
      const client = await RawClient.open(t, server.port, `${request}0\r\n\r\n`);
      assert.match(await client.head(), new RegExp(`^HTTP/1.1 ${status} `));
      assert.equal(server.vhostCounters.upgrades, 0);
    });
  }
});

suite("Upgrader refuses", () => {
  for (const { what, status, headers, answer } of refused) {
    test(what, async (t) => {
      const server = await start(t);
      const client = await RawClient.open(t, server.port, handshake(server.port, headers));
      const head = await client.head();
      assert.match(head, new RegExp(`^HTTP/1.1 ${status} `));
      if (answer) assert.match(head, answer);
      assert.equal(server.vhostCounters.upgrades, 0);
      assert.equal(server.vhostCounters.rejected, 1);
      assert.equal(server.upgrader.open, 0);
    });
  }
});

suite("Upgrader accepts", () => {
  test("the first offered protocol the vhost has, and says which", async (t) => {
    const server = await start(t);
    const headers = { "Sec-WebSocket-Protocol": "nope, echo, other" };
    const client = await RawClient.open(t, server.port, handshake(server.port, headers));
    const head = await client.head();
    assert.match(head, /^HTTP\/1.1 101 /);
    // RFC 6455 1.3 has this key and this answer.
    assert.equal(HANDSHAKE_KEY, "dGhlIHNhbXBsZSBub25jZQ==");
    assert.match(head, /^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r?$/m);
    assert.match(head, /^Sec-WebSocket-Protocol: echo\r?$/m);
    assert.equal(server.vhostCounters.upgrades, 1);
  });

  test("a client that names none, for the default protocol", async (t) => {
    const server = await start(t, { defaultProtocol: "echo" });
    const client = await Client.open(t, server.url);
    assert.equal(client.socket.protocol, "");
    client.socket.send("anyone?");
    assert.equal(await client.next(), "anyone?");
  });

  test("a page of the same authority, default port written or not", async (t) => {
    const server = await start(t);
    const same = { Origin: `http://127.0.0.1:${server.port}` };
    const written = { Host: "Site.example:443", Origin: "https://site.example" };
    const left = { Host: "site.example", Origin: "http://site.example:80" };
    for (const headers of [same, written, left]) {
      const request = handshake(server.port, { "Sec-WebSocket-Protocol": "echo", ...headers });
      const client = await RawClient.open(t, server.port, request);
      assert.match(await client.head(), /^HTTP\/1.1 101 /);
    }
  });

  test("frames that came in one packet with the handshake", async (t) => {
    const server = await start(t);
    const request = handshake(server.port, { "Sec-WebSocket-Protocol": "echo" });
    const client = await RawClient.open(
      t,
      server.port,
      Buffer.concat([Buffer.from(request), frame("early")]),
    );
    await client.head();
    assert.equal((await client.frame()).payload.toString(), "early");
  });

  test("no compression, whatever is offered", async (t) => {
    const server = await start(t);
    const offer = "permessage-deflate; client_max_window_bits; server_max_window_bits=8";
    const headers = { "Sec-WebSocket-Protocol": "echo", "Sec-WebSocket-Extensions": offer };
    const client = await RawClient.open(t, server.port, handshake(server.port, headers));
    const head = await client.head();
    assert.match(head, /^HTTP\/1.1 101 /);
    assert.doesNotMatch(head, /^Sec-WebSocket-Extensions/im);
  });

  test("text as text and bytes as bytes", async (t) => {
    const server = await start(t);
    const client = await RawClient.upgrade(t, server.port, "echo");
    client.socket.write(
      Buffer.concat([frame("žluťoučký"), frame(Buffer.of(0xff, 0), { opcode: 2 })]),
    );
    assert.deepEqual(await client.frame(), { opcode: 1, payload: Buffer.from("žluťoučký") });
    assert.deepEqual(await client.frame(), { opcode: 2, payload: Buffer.of(0xff, 0) });
  });
});

type Hostile = { readonly what: string; readonly bytes: Buffer; readonly code: number };

const fragments = Buffer.concat([
  frame("x", { isFinal: false }),
  ...Array.from({ length: 131_000 }, () => frame("x", { opcode: 0, isFinal: false })),
]);

const hostile: readonly Hostile[] = [
  { what: "an unmasked frame", bytes: frame("x", { isMasked: false }), code: 1002 },
  { what: "RSV1 without an extension", bytes: frame("x", { rsv: 4 }), code: 1002 },
  { what: "opcode 3", bytes: frame("x", { opcode: 3 }), code: 1002 },
  { what: "a ping of 126 bytes", bytes: frame("x".repeat(126), { opcode: 9 }), code: 1002 },
  { what: "a fragmented ping", bytes: frame("x", { opcode: 9, isFinal: false }), code: 1002 },
  { what: "a continuation of nothing", bytes: frame("x", { opcode: 0 }), code: 1002 },
  { what: "a length of 2^63", bytes: frame("", { claimedLength: 1n << 63n }), code: 1009 },
  {
    what: "a length of 8 EiB less one",
    bytes: frame("", { claimedLength: (1n << 63n) - 1n }),
    code: 1009,
  },
  { what: "a message one byte too long", bytes: frame("x".repeat(MAX_MESSAGE + 1)), code: 1009 },
  {
    what: "fragments that add up to too much",
    bytes: Buffer.concat([
      frame("x".repeat(MAX_MESSAGE), { isFinal: false }),
      frame("x", { opcode: 0 }),
    ]),
    code: 1009,
  },
  { what: "131,000 fragments", bytes: fragments, code: 1008 },
  { what: "text that is not UTF-8", bytes: frame(Buffer.of(0xc3, 0x28)), code: 1007 },
  { what: "a close frame of one byte", bytes: frame("x", { opcode: 8 }), code: 1002 },
  { what: "close code 1006", bytes: frame(Buffer.of(0x03, 0xee), { opcode: 8 }), code: 1002 },
];

suite("Upgrader ends a connection for", () => {
  for (const { what, bytes, code } of hostile) {
    test(what, async (t) => {
      // The limit on fragments is reached before that on bytes only where messages may be longer.
      const roomy = defineProtocol({ ...echo, name: "roomy", maxMessageBytes: 1024 * 1024 });
      const server = await start(t, { protocols: [echo, roomy] });
      const client = await RawClient.upgrade(
        t,
        server.port,
        bytes === fragments ? "roomy" : "echo",
      );
      client.socket.write(bytes);
      assert.equal(await client.closeCode(), code);
      await client.closed;
      const next = await Client.open(t, server.url, "echo");
      next.socket.send("still here");
      assert.equal(await next.next(), "still here");
    });
  }

  test("100,000 pings whose answers nobody reads", async (t) => {
    const { promise: ended, resolve } = Promise.withResolvers<number>();
    const watched = defineProtocol({
      name: "watched",
      start: () => ({ close: (_peer, code) => resolve(code) }),
    });
    const server = await start(t, { protocols: [watched] });
    const client = await RawClient.upgrade(t, server.port, "watched");
    client.socket.pause();
    client.socket.write(
      Buffer.concat(Array.from({ length: 100_000 }, () => frame("x".repeat(125), { opcode: 9 }))),
    );
    assert.equal(await ended, 1006);
    await server.deserted();
  });
});

suite("Upgrader", () => {
  test("cuts a silent peer that does not answer a ping, keeps one that does", async (t) => {
    const server = await start(t, { limits: { idleMs: 40, answerMs: 40 } });
    const silent = await RawClient.upgrade(t, server.port, "echo");
    const quiet = await Client.open(t, server.url, "echo");
    assert.equal((await silent.frame()).opcode, 9);
    await silent.closed;
    quiet.socket.send("alive");
    assert.equal(await quiet.next(), "alive");
    assert.equal(server.upgrader.open, 1);
  });

  test("ends a closing handshake that the peer does not complete", async (t) => {
    const closer = defineProtocol({
      name: "closer",
      start: () => ({ open: (peer) => peer.close(1000, "bye") }),
    });
    const server = await start(t, { protocols: [closer], limits: { closeMs: 50 } });
    const client = await RawClient.upgrade(t, server.port, "closer");
    assert.equal(await client.closeCode(), 1000);
    client.socket.write(frame("data after a close frame"));
    await client.closed;
    await server.deserted();
  });

  test("tells the protocol who came, and how the client left", async (t) => {
    const seen: unknown[] = [];
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const witness = defineProtocol({
      name: "witness",
      start: () => ({
        open({ id, address, userAgent, target }) {
          seen.push({ id, address, userAgent, target });
        },
        close(_peer, code, reason) {
          seen.push({ code, reason });
          resolve();
        },
      }),
    });
    const server = await start(t, { protocols: [witness], worker: 7 });
    const headers = { "Sec-WebSocket-Protocol": "witness", "User-Agent": "probe/1" };
    const request = handshake(server.port, headers, "GET /a?b=c HTTP/1.1");
    const client = await RawClient.open(t, server.port, request);
    await client.head();
    client.socket.write(frame(Buffer.from("\x0b\xb8Bye!", "latin1"), { opcode: 8 }));
    await ended;
    assert.deepEqual(seen, [
      { id: "7-1", address: "127.0.0.1", userAgent: "probe/1", target: "/a?b=c" },
      { code: 3000, reason: "Bye!" },
    ]);
  });

  test("counts open WebSockets and the bytes of each direction", async (t) => {
    const server = await start(t);
    const request = handshake(server.port, { "Sec-WebSocket-Protocol": "echo" });
    const early = Buffer.concat([Buffer.from(request), frame("early")]);
    const client = await RawClient.open(t, server.port, early);
    await client.head();
    await client.frame();
    assert.equal(server.counters.openWebSockets, 1);
    client.socket.write(frame("x".repeat(100)));
    await client.frame();
    client.socket.write(frame(Buffer.of(3, 232), { opcode: 8 }));
    await client.closed;
    await server.deserted();
    assert.equal(server.counters.openWebSockets, 0);
    assert.equal(server.vhostCounters.rx, early.length + 6 + 100 + 6 + 2);
    assert.equal(server.vhostCounters.tx, client.bytesRead);
  });

  test("closeAll closes every peer with code and reason and refuses new ones", async (t) => {
    const server = await start(t);
    const clients = await Promise.all(
      Array.from({ length: 5 }, () => Client.open(t, server.url, "echo")),
    );
    server.upgrader.closeAll(1001, "Going away", 0);
    for (const client of clients)
      assert.deepEqual(await client.closed, { code: 1001, reason: "Going away" });
    const request = handshake(server.port, { "Sec-WebSocket-Protocol": "echo" });
    const late = await RawClient.open(t, server.port, request);
    assert.match(await late.head(), /^HTTP\/1.1 503 /);
  });

  test("closeAll over time closes every peer too, one after the other", async (t) => {
    const server = await start(t);
    const order: number[] = [];
    const clients = await Promise.all(
      Array.from({ length: 20 }, () => Client.open(t, server.url, "echo")),
    );
    server.upgrader.closeAll(1012, "Restart", 200);
    // Nothing is due before the first step, so all of them are open still.
    assert.ok(clients.every((client) => client.socket.readyState === WebSocket.OPEN));
    await Promise.all(
      clients.map(async (client, index) => {
        assert.deepEqual(await client.closed, { code: 1012, reason: "Restart" });
        order.push(index);
      }),
    );
    assert.equal(order.length, 20);
    await server.deserted();
  });

  test("closeAll of one vhost leaves the others alone", async (t) => {
    const server = await start(t);
    const client = await Client.open(t, server.url, "echo");
    server.upgrader.closeAll(1012, "", 0, { ...server.vhost });
    client.socket.send("me not");
    assert.equal(await client.next(), "me not");
    server.upgrader.closeAll(1012, "", 0, server.vhost);
    assert.equal((await client.closed).code, 1012);
  });

  test("stop cuts what is left, also who is in a closing handshake", async (t) => {
    const server = await start(t);
    const open = await RawClient.upgrade(t, server.port, "echo");
    server.upgrader.closeAll(1001, "", 0);
    server.upgrader.stop();
    await open.closed;
    await server.deserted();
  });
});
