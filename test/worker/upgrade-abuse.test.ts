// What clients try with an opening handshake and with compression, and what follows behind a handshake that was refused: each has its
// answer, nothing is kept of it, and the worker serves on.

import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { defineProtocol } from "../../worker/protocol.ts";
import { Client, frame, handshake, RawClient } from "../plugins/clients.ts";
import { startProtocolServer, type ProtocolServer } from "../plugins/protocol-server.ts";

const MAX_MESSAGE = 1000;
const MB = 1024 * 1024;
/** What is far below one that holds what it should not, and far above noise. */
const MAX_GROWTH_BYTES = 100 * MB;

const echo = defineProtocol({
  name: "echo",
  maxMessageBytes: MAX_MESSAGE,
  start: () => ({
    message(peer, message, isBinary) {
      peer.send(isBinary ? message : message.toString("utf8"));
    },
  }),
});

function start(
  t: TestContext,
  options: Partial<Parameters<typeof startProtocolServer>[1]> = {},
): Promise<ProtocolServer> {
  return startProtocolServer(t, { protocols: [echo], defaultProtocol: "echo", ...options });
}

async function assertServes(t: TestContext, server: ProtocolServer): Promise<void> {
  const next = await Client.open(t, server.url);
  next.socket.send("still here");
  assert.equal(await next.next(), "still here");
}

/** A handshake with these lines in place of its Host. */
function withHost(port: number, ...lines: readonly string[]): string {
  const written = lines.map((line) => `${line}\r\n`).join("");
  return handshake(port).replace(/^Host: .*\r\n/m, written);
}

suite("An opening handshake", () => {
  const wrong: readonly (readonly [what: string, ...lines: string[]])[] = [
    ["no Host"],
    ["two Hosts", "Host: a.test", "Host: b.test"],
    ["the same Host twice", "Host: a.test", "Host: a.test"],
    ["a Host with a user", "Host: admin@localhost"],
    ["a Host with a path", "Host: localhost/admin"],
    ["a Host with a space", "Host: local host"],
    ["a Host with a port that is none", "Host: localhost:http"],
  ];
  for (const [what, ...lines] of wrong)
    test(`with ${what} is answered with 400`, async (t) => {
      const server = await start(t);
      const client = await RawClient.open(t, server.port, withHost(server.port, ...lines));
      assert.match(await client.head(), /^HTTP\/1\.1 400 /);
      await client.closed;
      assert.equal(server.upgrader.open, 0);
      assert.equal(server.vhostCounters.upgrades, 0);
      await assertServes(t, server);
    });

  test("for a host that nobody has goes to the first one, whose pages alone may open it", async (t) => {
    const server = await start(t);
    const own = withHost(server.port, "Host: nobody.test", "Origin: http://nobody.test");
    const foreign = withHost(server.port, "Host: nobody.test", "Origin: http://localhost");
    assert.match(await (await RawClient.open(t, server.port, own)).head(), /^HTTP\/1\.1 101 /);
    assert.match(await (await RawClient.open(t, server.port, foreign)).head(), /^HTTP\/1\.1 403 /);
  });

  // CVE-2024-37890: more of them than Node keeps, so that what ws looked for was not there.
  for (const place of ["before", "behind"])
    test(`with 2,000 fields ${place} its own is answered with 431`, async (t) => {
      const server = await start(t);
      const more = Array.from({ length: 2_000 }, (_, at) => `x${at}: 1\r\n`).join("");
      const [line, ...rest] = handshake(server.port).split("\r\n");
      const text = rest.join("\r\n");
      const request =
        place === "before"
          ? `${line}\r\n${more}${text}`
          : `${line}\r\n${text.slice(0, -2)}${more}\r\n`;
      const client = await RawClient.open(t, server.port, request);
      assert.match(await client.head(), /^HTTP\/1\.1 431 /);
      await client.closed;
      assert.equal(server.upgrader.open, 0);
      await assertServes(t, server);
    });

  const behind: readonly (readonly [what: string, bytes: Buffer | string])[] = [
    ["a request", "GET /second HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ["another handshake", handshake(80)],
    ["a frame", frame("hello")],
  ];
  for (const [what, bytes] of behind)
    for (const [why, changes, status] of [
      ["its version", { "Sec-WebSocket-Version": "7" }, 426],
      ["its page", { Origin: "http://evil.example" }, 403],
    ] as const)
      test(`that is refused for ${why} has one answer, whatever follows: ${what}`, async (t) => {
        const asked: string[] = [];
        const server = await start(t, {
          mounts: [
            {
              mountpoint: "/",
              handle: (exchange) => {
                asked.push(exchange.target);
                exchange.send(200, [], "");
              },
            },
          ],
        });
        const first = Buffer.concat([
          Buffer.from(handshake(server.port, changes)),
          Buffer.from(bytes),
        ]);
        const client = await RawClient.open(t, server.port, first);
        const head = await client.head();
        assert.match(head, new RegExp(`^HTTP/1.1 ${status} `));
        assert.match(head, /^Connection: close\b/im);
        // More, once it has been refused.
        client.socket.write(bytes);
        client.socket.end();
        await client.closed;
        const length = Number(/^Content-Length: (\d+)/im.exec(head)?.[1]);
        assert.equal(client.bytesRead, head.length + 4 + length);
        assert.deepEqual(asked, []);
        assert.equal(server.vhostCounters.requests, 1);
        assert.equal(server.vhostCounters.rejected, 1);
        assert.equal(server.upgrader.open, 0);
        await assertServes(t, server);
      });
});

suite("A compressed message", () => {
  const keys = { "permessage-deflate": true };
  const extension = "Sec-WebSocket-Extensions";
  const offer = { [extension]: "permessage-deflate" };
  const deflated = (bytes: Buffer): Buffer =>
    deflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
  /** One MiB of zeros that can stand one behind the other. */
  const piece = deflateRawSync(Buffer.alloc(MB), { finishFlush: constants.Z_FULL_FLUSH });

  async function open(t: TestContext, server: ProtocolServer): Promise<RawClient> {
    const client = await RawClient.open(t, server.port, handshake(server.port, offer));
    assert.match(await client.head(), /permessage-deflate/);
    return client;
  }

  test("of 1 MB that is 1 GB inside closes with 1009, and takes no memory", async (t) => {
    const server = await start(t, { keys: { ...keys, "max-message-bytes": 2 * MB } });
    const bomb = frame(Buffer.concat(Array.from({ length: 1024 }, () => piece)), { rsv: 4 });
    const before = process.memoryUsage().rss;
    const client = await open(t, server);
    client.socket.write(bomb);
    assert.equal(await client.closeCode(), 1009);
    await client.closed;
    const growth = process.memoryUsage().rss - before;
    assert.ok(growth < MAX_GROWTH_BYTES, `${growth} bytes more`);
    await assertServes(t, server);
  });

  test("of 1 KB that is 1 MB inside, a thousand times: of each connection the first one ends it", async (t) => {
    const server = await start(t, { keys });
    const bomb = frame(piece, { rsv: 4 });
    const before = process.memoryUsage().rss;
    const all = await open(t, server);
    all.socket.write(Buffer.concat(Array.from({ length: 1_000 }, () => bomb)));
    assert.equal(await all.closeCode(), 1009);
    await all.closed;
    for (let count = 0; count < 1_000; count += 50)
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          const client = await open(t, server);
          client.socket.write(bomb);
          assert.equal(await client.closeCode(), 1009);
          client.socket.destroy();
        }),
      );
    await server.deserted();
    const growth = process.memoryUsage().rss - before;
    assert.ok(growth < MAX_GROWTH_BYTES, `${growth} bytes more`);
    await assertServes(t, server);
  });

  for (const bits of [8, 9, 10, 15])
    test(`comes back so that a window of ${bits} bits can hold it, where that was asked for`, async (t) => {
      const server = await start(t, { keys: { ...keys, "max-message-bytes": 100_000 } });
      const headers = {
        [extension]: `permessage-deflate; server_max_window_bits=${bits}; client_no_context_takeover`,
      };
      const client = await RawClient.open(t, server.port, handshake(server.port, headers));
      const head = await client.head();
      assert.match(head, /^HTTP\/1\.1 101 /);
      const agreed = new RegExp(`^${extension}: (.*)`, "im").exec(head)?.[1];
      // Pieces that are like those some hundred bytes before: a larger window would refer to them.
      const line = Array.from({ length: 300 }, (_, at) =>
        String.fromCharCode(33 + ((at * 7) % 90)),
      );
      const text = line.join("").repeat(20);
      if (agreed === undefined) {
        client.socket.write(frame(text));
        assert.equal((await client.frame()).payload.toString(), text);
        return;
      }
      const window = Number(/server_max_window_bits=(\d+)/.exec(agreed)?.[1] ?? 15);
      assert.ok(window <= bits, agreed);
      client.socket.write(frame(deflated(Buffer.from(text)), { rsv: 4 }));
      const { payload } = await client.frame();
      // In pieces that are smaller than any window, or zlib would look at what it has just put out.
      const options = { windowBits: window, chunkSize: 64, finishFlush: constants.Z_SYNC_FLUSH };
      const whole = Buffer.concat([payload, Buffer.of(0, 0, 0xff, 0xff)]);
      assert.equal(inflateRawSync(whole, options).toString(), text);
    });

  for (const [what, parameters] of [
    ["a window of 7 bits", "server_max_window_bits=7"],
    ["a window of 16 bits", "server_max_window_bits=16"],
    ["a window of no size", "server_max_window_bits"],
    ["an unknown parameter", "size=9"],
    ["one parameter twice", "server_no_context_takeover; server_no_context_takeover"],
  ] as const)
    test(`is not agreed on where it is offered with ${what}`, async (t) => {
      const server = await start(t, { keys });
      const headers = { [extension]: `permessage-deflate; ${parameters}` };
      const client = await RawClient.open(t, server.port, handshake(server.port, headers));
      const head = await client.head();
      assert.doesNotMatch(head, new RegExp(`^${extension}`, "im"));
      assert.match(head, /^HTTP\/1\.1 (101|400) /);
      await assertServes(t, server);
    });
});

suite("Many at once", () => {
  test("50 connections with messages of 131,000 fragments take no memory", async (t) => {
    const roomy = defineProtocol({ ...echo, name: "roomy", maxMessageBytes: MB });
    const server = await start(t, { protocols: [echo, roomy] });
    const fragment = frame("x", { opcode: 0, isFinal: false });
    const bytes = Buffer.concat([
      frame("x", { isFinal: false }),
      ...Array.from({ length: 131_000 }, () => fragment),
    ]);
    const before = process.memoryUsage().rss;
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        const client = await RawClient.upgrade(t, server.port, "roomy");
        client.socket.write(bytes);
        assert.equal(await client.closeCode(), 1008);
        client.socket.destroy();
      }),
    );
    await server.deserted();
    const growth = process.memoryUsage().rss - before;
    assert.ok(growth < MAX_GROWTH_BYTES, `${growth} bytes more`);
    await assertServes(t, server);
  });

  test("WebSockets that wait have no timers of their own", async (t) => {
    const server = await start(t);
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const clients = [await RawClient.upgrade(t, server.port, "echo")];
    const before = timers();
    for (let count = 0; count < 200; count += 1)
      clients.push(await RawClient.upgrade(t, server.port, "echo"));
    assert.equal(server.upgrader.open, clients.length);
    assert.ok(timers() - before < 20, `${timers() - before} timers for 200 more`);
  });
});
