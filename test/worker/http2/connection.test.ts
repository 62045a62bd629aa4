// Connections of the HTTP/2 front with a client that keeps the rules: bodies, windows, early answers, priorities, clocks, drain.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import http2 from "node:http2";
import { test, type TestContext } from "node:test";
import type { Exchange } from "../../../worker/http/exchange.ts";
import { createHttp2Front } from "../../../worker/http2/front.ts";
import {
  data,
  frame,
  GET_FIELDS,
  headers,
  number32,
  openHttp2,
  POST_FIELDS,
  verdictOn,
  type FrameWire,
} from "../../helpers/http2-wire.ts";
import { startSite, type TestSite, type TestSiteOptions } from "../../helpers/site.ts";

type Handle = (exchange: Exchange, rest: string) => void | Promise<void>;

function start(
  t: TestContext,
  handle: Handle,
  options: Partial<TestSiteOptions> & { keys?: Record<string, unknown> } = {},
): Promise<TestSite> {
  const { keys = {}, ...rest } = options;
  const vhosts = [{ name: "a.test", keys, mounts: [{ mountpoint: "/", handle }] }];
  return startSite(t, { vhosts, createFront: createHttp2Front, ...rest });
}

/** Node's own client. */
function connectNode(t: TestContext, site: TestSite): http2.ClientHttp2Session {
  const session = http2.connect(`http://127.0.0.1:${site.port}`);
  session.on("error", () => {});
  t.after(() => session.destroy());
  return session;
}

type NodeAnswer = {
  readonly status: number;
  readonly body: Buffer;
  readonly fields: http2.IncomingHttpHeaders;
};

async function ask(
  session: http2.ClientHttp2Session,
  fields: http2.OutgoingHttpHeaders,
  body?: Buffer,
): Promise<NodeAnswer> {
  const stream = session.request({ ":authority": "a.test", ...fields }, { endStream: !body });
  if (body) stream.end(body);
  const [answer] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return { status: Number(answer[":status"]), body: Buffer.concat(chunks), fields: answer };
}

async function settled(site: TestSite): Promise<void> {
  while (site.front.open > 0 || site.front.active > 0)
    await new Promise((resolve) => setImmediate(resolve));
}

/** Bytes of DATA on a stream. */
function bytesOf(wire: FrameWire, stream: number): number {
  return wire.frames
    .filter(({ type, stream: of }) => type === 0 && of === stream)
    .reduce((sum, { payload }) => sum + payload.length, 0);
}

const windowUpdate = (stream: number, bytes: number): Buffer =>
  frame(0x8, 0, stream, number32(bytes));

test("Http2Front keeps apart what a mount has of each request in an AsyncLocalStorage", async (t) => {
  const storage = new AsyncLocalStorage<string>();
  const site = await start(t, async (exchange) => {
    const before = storage.getStore();
    storage.enterWith(exchange.path);
    await new Promise(setImmediate);
    exchange.send(200, [], `${before} ${storage.getStore()}`);
  });
  const session = connectNode(t, site);
  const paths = ["/a", "/b", "/c"];
  const answers = await Promise.all(paths.map((path) => ask(session, { ":path": path })));
  assert.deepEqual(
    answers.map(({ body }) => String(body)),
    ["undefined /a", "undefined /b", "undefined /c"],
  );
});

test("Http2Front carries bodies of any size both ways", async (t) => {
  const site = await start(t, async (exchange) => {
    const chunks: Buffer[] = [];
    for await (const chunk of exchange.body) chunks.push(chunk as Buffer);
    const answer = exchange.stream(200, []);
    for (const chunk of chunks) answer.write(chunk);
    answer.end();
  });
  const session = connectNode(t, site);
  const sizes = [0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 300_000, 3_000_000];
  await Promise.all(
    sizes.map(async (size) => {
      const body = Buffer.alloc(size, `${size} `);
      const answer = await ask(session, { ":method": "POST" }, body);
      assert.deepEqual([answer.status, answer.body.equals(body)], [200, true]);
    }),
  );
});

test("Http2Front tells mounts the authority as Host, and no other Host", async (t) => {
  const site = await start(t, (exchange) => {
    const hosts = exchange.fields.filter(([name]) => name.toLowerCase() === "host");
    exchange.send(200, [], JSON.stringify([exchange.authority, hosts.map(([, value]) => value)]));
  });
  const session = connectNode(t, site);
  const { body } = await ask(session, { host: "other.test" });
  assert.equal(String(body), '["a.test",["a.test"]]');
});

test("Http2Front answers HEAD, 204 and 304 with HEADERS alone", async (t) => {
  const site = await start(t, (exchange) => {
    const status = Number(exchange.path.slice(1));
    if (exchange.query === "stream") exchange.stream(status, []).end("body");
    else exchange.send(status, [], "body");
  });
  const wire = await openHttp2(site.port);
  const requests = [
    ["HEAD", "/200"],
    ["HEAD", "/200?stream"],
    ["GET", "/204"],
    ["GET", "/304"],
    ["GET", "/304?stream"],
  ] as const;
  for (const [index, [method, path]] of requests.entries()) {
    const id = 2 * index + 1;
    wire.write(
      headers(id, [
        [":method", method],
        [":scheme", "https"],
        [":path", path],
        [":authority", "a.test"],
      ]),
    );
    const found = await wire.find(({ stream, type }) => stream === id && type === 1);
    assert.equal(found?.flags, 0x5, path);
  }
  assert.ok(!wire.frames.some(({ type }) => type === 0));
  wire.socket.destroy();
});

test("Http2Front sends a head before its body, and 100 before either", async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const site = await start(t, async (exchange) => {
    let text = "";
    for await (const chunk of exchange.body) text += String(chunk);
    const answer = exchange.stream(200, []);
    await promise;
    answer.end(text);
  });
  const session = connectNode(t, site);
  const stream = session.request(
    { ":method": "POST", expect: "100-continue" },
    { endStream: false },
  );
  await once(stream, "continue");
  stream.end("x");
  await once(stream, "response");
  resolve();
  const [chunk] = (await once(stream, "data")) as [Buffer];
  assert.equal(String(chunk), "x");
});

test("Http2Front keeps the windows of streams and of the connection", async (t) => {
  const site = await start(t, (exchange) => exchange.send(200, [], Buffer.alloc(100_000)));
  const wire = await openHttp2(site.port, [0x4, 1_000]);
  wire.write(headers(1));
  await wire.find(({ type }) => type === 0);
  wire.write(frame(0x6, 0, 0, Buffer.alloc(8)));
  await wire.find(({ type, flags }) => type === 6 && flags === 1);
  assert.equal(bytesOf(wire, 1), 1_000);
  wire.write(windowUpdate(1, 90_000), frame(0x6, 0, 0, Buffer.alloc(8, 1)));
  await wire.find(({ type, payload }) => type === 6 && payload[0] === 1);
  // The connection's window is what holds it up now.
  assert.equal(bytesOf(wire, 1), 65_535);
  wire.write(windowUpdate(0, 100_000), frame(0x6, 0, 0, Buffer.alloc(8, 2)));
  await wire.find(({ type, payload }) => type === 6 && payload[0] === 2);
  assert.equal(bytesOf(wire, 1), 91_000);
  // A window may become negative, and has to be filled first.
  wire.write(frame(0x4, 0, 0, Buffer.concat([Buffer.of(0, 4), number32(0)])));
  wire.write(windowUpdate(1, 1_001), frame(0x6, 0, 0, Buffer.alloc(8, 3)));
  await wire.find(({ type, payload }) => type === 6 && payload[0] === 3);
  assert.equal(bytesOf(wire, 1), 91_001);
  wire.write(windowUpdate(1, 10_000));
  await wire.find(({ type, flags }) => type === 0 && flags === 1);
  assert.equal(bytesOf(wire, 1), 100_000);
  wire.socket.destroy();
});

test("Http2Front takes no more of a body than its windows allow while nobody reads", async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const site = await start(t, async (exchange) => {
    await promise;
    let bytes = 0;
    for await (const chunk of exchange.body) bytes += (chunk as Buffer).length;
    exchange.send(200, [], String(bytes));
  });
  const session = connectNode(t, site);
  const stream = session.request({ ":method": "POST" }, { endStream: false });
  stream.end(Buffer.alloc(5_000_000));
  await new Promise((later) => session.ping(later));
  assert.ok(site.counters.vhost("a.test:80").rx < 1_000_000);
  resolve();
  stream.setEncoding("utf8");
  const [text] = (await once(stream, "data")) as [string];
  assert.equal(text, "5000000");
});

test("Http2Front lets a client end the body of a request that is answered, then resets it", async (t) => {
  const site = await start(t, (exchange) => exchange.send(413, [], "no"), {
    clocks: { lingerMs: 50 },
  });
  const wire = await openHttp2(site.port);
  wire.write(headers(1, POST_FIELDS, false), headers(3, POST_FIELDS, false));
  assert.equal(await verdictOn(wire, 1), "413");
  wire.write(data(1, "x".repeat(1_000)), data(1, "", true));
  const reset = await wire.find(({ type }) => type === 3);
  assert.deepEqual([reset?.stream, reset?.payload.readUInt32BE(0)], [3, 0]);
  wire.write(data(3, "x", true), headers(5));
  assert.equal(await verdictOn(wire, 5), "413");
  assert.ok(!wire.frames.some(({ type, stream }) => type === 3 && stream === 1));
  wire.socket.destroy();
});

test("Http2Front tells the mount of a cancelled request, and counts it", async (t) => {
  const { promise, resolve } = Promise.withResolvers<Exchange>();
  const aborted = Promise.withResolvers<void>();
  const site = await start(t, (exchange) => {
    exchange.onAbort(() => aborted.resolve());
    resolve(exchange);
  });
  const wire = await openHttp2(site.port);
  wire.write(headers(1));
  await promise;
  wire.write(frame(0x3, 0, 1, number32(8)));
  await aborted.promise;
  assert.equal(site.counters.vhost("a.test:80").aborted, 1);
  assert.equal(site.front.active, 0);
  assert.match(site.logged[0] ?? "", /"GET \/ HTTP\/2\.0" 499 -/);
  wire.socket.destroy();
});

test("Http2Front resets the stream of a body that cannot be completed, and only that", async (t) => {
  const site = await start(t, (exchange) => {
    if (exchange.path === "/") return exchange.send(200, [], "ok");
    exchange.stream(200, [["Content-Length", "10"]]).end("short");
  });
  const session = connectNode(t, site);
  const stream = session.request({ ":path": "/short" });
  const [error] = (await once(stream, "error")) as [NodeJS.ErrnoException];
  assert.match(error.message, /INTERNAL_ERROR/);
  assert.equal((await ask(session, {})).status, 200);
  assert.equal(site.counters.vhost("a.test:80").aborted, 1);
});

test("Http2Front sends urgent answers first and lets incremental ones share", async (t) => {
  const site = await start(t, (exchange) => exchange.send(200, [], Buffer.alloc(40_000)));
  const order = async (...priorities: readonly string[]): Promise<number[]> => {
    const wire = await openHttp2(site.port, [0x4, 0]);
    for (const [index, priority] of priorities.entries())
      wire.write(headers(2 * index + 1, [...GET_FIELDS, ["priority", priority]]));
    await wire.find(({ type, stream }) => type === 1 && stream === 2 * priorities.length - 1);
    wire.write(
      windowUpdate(0, 1_000_000),
      frame(0x4, 0, 0, Buffer.concat([Buffer.of(0, 4), number32(100_000)])),
    );
    for (const index of priorities.keys())
      await wire.find(
        ({ type, stream, flags }) => type === 0 && stream === 2 * index + 1 && flags === 1,
      );
    wire.socket.destroy();
    return wire.frames.filter(({ type }) => type === 0).map(({ stream }) => stream);
  };
  assert.deepEqual(await order("u=5", "u=1", "u=3"), [3, 3, 3, 5, 5, 5, 1, 1, 1]);
  assert.deepEqual(await order("u=3, i", "u=3, i"), [1, 3, 1, 3, 1, 3]);
  assert.deepEqual(await order("", "nonsense"), [1, 1, 1, 3, 3, 3]);
});

test("Http2Front sends the answers to one read in one write", async (t) => {
  const site = await start(t, (exchange) => exchange.send(200, [], "x".repeat(100)));
  const wire = await openHttp2(site.port);
  await wire.find(({ type, flags }) => type === 4 && flags === 1);
  let reads = 0;
  wire.socket.on("data", () => (reads += 1));
  wire.write(...Array.from({ length: 20 }, (_, index) => headers(2 * index + 1)));
  await wire.find(({ type, stream, flags }) => type === 0 && stream === 39 && flags === 1);
  assert.equal(reads, 1);
  wire.socket.destroy();
});

test("Http2Front drains with two GOAWAYs and finishes what it took", async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const site = await start(t, async (exchange) => {
    await promise;
    exchange.send(200, [], "late");
  });
  const wire = await openHttp2(site.port);
  wire.write(headers(1));
  await wire.find(({ type, flags }) => type === 4 && flags === 1);
  site.front.drain();
  const ping = await wire.find(({ type, flags }) => type === 6 && flags === 0);
  const first = wire.frames.find(({ type }) => type === 7);
  assert.deepEqual(
    [first?.payload.readUInt32BE(0), first?.payload.readUInt32BE(4)],
    [0x7fff_ffff, 0],
  );
  // On its way before the client knew.
  wire.write(headers(3), frame(0x6, 1, 0, ping?.payload ?? []));
  await wire.find(({ type, payload }) => type === 7 && payload.readUInt32BE(0) === 3);
  wire.write(headers(5));
  resolve();
  assert.equal(
    await verdictOn(
      { ...wire, find: (matches) => wire.find((one) => one.type !== 7 && matches(one)) },
      1,
    ),
    "200",
  );
  await wire.find(({ type, stream, flags }) => type === 0 && stream === 3 && flags === 1);
  wire.socket.end();
  await wire.ended();
  assert.ok(!wire.frames.some(({ stream }) => stream === 5));
  await settled(site);
});

test("Http2Front closes idle connections with GOAWAY when their time is over", async (t) => {
  const site = await start(t, (exchange) => exchange.send(200, [], "x"), {
    keys: { keepalive_timeout: 1 },
    clocks: { headerMs: 100 },
  });
  const silent = await openHttp2(site.port);
  assert.equal(await verdictOn(silent), "GOAWAY 0");
  silent.socket.end();
  await silent.ended();
  const kept = await openHttp2(site.port);
  kept.write(headers(1));
  assert.equal(await verdictOn(kept), "200");
  const goaway = await kept.find(({ type }) => type === 7);
  assert.deepEqual([goaway?.payload.readUInt32BE(0), goaway?.payload.readUInt32BE(4)], [1, 0]);
  kept.socket.end();
  await kept.ended();
  await settled(site);
});

test("Http2Front takes the end of what a client sends for its leaving", async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const site = await start(t, (exchange) => {
    if (exchange.path === "/") exchange.onAbort(resolve);
    else exchange.send(200, [], "x");
  });
  const wire = await openHttp2(site.port);
  wire.write(
    headers(1),
    headers(3, [...GET_FIELDS.slice(0, 2), [":path", "/x"], [":authority", "a.test"]]),
  );
  wire.socket.end();
  await promise;
  assert.equal(await verdictOn(wire, 3), "200");
  await wire.ended();
  await settled(site);
  const { requests, aborted } = site.counters.vhost("a.test:80");
  assert.deepEqual([requests, aborted], [2, 1]);
});

test("Http2Front says that its table is empty to a client that made it smaller", async (t) => {
  const site = await start(t, (exchange) => exchange.send(200, [], "x"));
  const wire = await openHttp2(site.port, [0x1, 0]);
  wire.write(headers(1), headers(3));
  const first = await wire.find(({ type, stream }) => type === 1 && stream === 1);
  const second = await wire.find(({ type, stream }) => type === 1 && stream === 3);
  assert.deepEqual([first?.payload[0], second?.payload[0]], [0x20, 0x88]);
  wire.socket.destroy();
});

test("Http2Front splits a head that is larger than a frame", async (t) => {
  const value = "x".repeat(20_000);
  const site = await start(t, (exchange) => exchange.send(200, [["X-Large", value]], "body"));
  const session = connectNode(t, site);
  const answer = await ask(session, {});
  assert.deepEqual([answer.fields["x-large"], String(answer.body)], [value, "body"]);
});

test("Http2Front refuses fields that cannot stand in an answer", async (t) => {
  const site = await start(t, (exchange) => exchange.send(200, [["X-Bad", "a\r\nb: c"]], "x"));
  const session = connectNode(t, site);
  assert.equal((await ask(session, {})).status, 500);
});

test("Http2Front counts a connection, its requests and its bytes", async (t) => {
  const site = await start(t, (exchange) => exchange.send(200, [], "12345"));
  const wire = await openHttp2(site.port);
  wire.write(headers(1), headers(3), headers(5, [[":method", "GET"]]));
  await wire.find(({ type, stream }) => type === 3 && stream === 5);
  await wire.find(({ type, stream, flags }) => type === 0 && stream === 3 && flags === 1);
  wire.socket.end();
  await wire.ended();
  await settled(site);
  const { connections, requests, rejected, aborted, status2xx, status4xx, rx, tx } =
    site.counters.vhost("a.test:80");
  assert.deepEqual(
    { connections, requests, rejected, aborted, status2xx, status4xx },
    { connections: 1, requests: 3, rejected: 1, aborted: 0, status2xx: 2, status4xx: 1 },
  );
  assert.deepEqual([rx, tx], [wire.socket.bytesWritten, wire.socket.bytesRead]);
  assert.match(site.logged.join(""), /"GET \/ HTTP\/2\.0" 200 5 /);
});
