// Connections of the HTTP/1.1 front: order, clocks, half-closes, early answers, aborts, counting.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import type { Exchange } from "../../../worker/http/exchange.ts";
import {
  firstAccepted,
  startSite,
  type TestSite,
  type TestSiteOptions,
} from "../../helpers/site.ts";
import {
  connect,
  countStatusLines,
  exchangeBytes,
  parseReplies,
  request,
  statusOf,
} from "../../helpers/wire.ts";

type Handle = (exchange: Exchange, rest: string) => void | Promise<void>;

const GET = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

function start(
  t: Parameters<typeof startSite>[0],
  handle: Handle,
  options: Partial<TestSiteOptions> & { keys?: Record<string, unknown>; secure?: boolean } = {},
): Promise<TestSite> {
  const { keys = {}, secure = false, ...rest } = options;
  const vhosts = [{ name: "h", keys, secure, mounts: [{ mountpoint: "/", handle }] }];
  return startSite(t, { vhosts, ...rest });
}

/** What resolves from outside. */
function gate(): { open: () => void; passed: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { open: resolve, passed: promise };
}

async function settled(site: TestSite): Promise<void> {
  while (site.front.open > 0 || site.front.active > 0)
    await new Promise((resolve) => setImmediate(resolve));
}

test("createHttp1Front answers pipelined requests in order, one at a time", async (t) => {
  let running = 0;
  const site = await start(t, async (exchange) => {
    running += 1;
    assert.equal(running, 1);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    exchange.send(200, [], exchange.path);
  });
  const wire = await connect(site.port);
  const paths = Array.from({ length: 500 }, (_, index) => `/${index}`);
  wire.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`).join(""));
  const replies = await wire.replies(paths.length);
  assert.deepEqual(
    replies.map((reply) => reply.body),
    paths,
  );
  wire.socket.destroy();
});

test("createHttp1Front reads bodies of pipelined requests when it is their turn", async (t) => {
  const site = await start(t, async (exchange) => {
    let bytes = 0;
    for await (const chunk of exchange.body) bytes += (chunk as Buffer).length;
    exchange.send(200, [], String(bytes));
  });
  const wire = await connect(site.port);
  const body = "x".repeat(300_000);
  wire.write(
    `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n${body}`.repeat(3),
  );
  const replies = await wire.replies(3);
  assert.deepEqual(
    replies.map((reply) => reply.body),
    ["300000", "300000", "300000"],
  );
  wire.socket.destroy();
});

test("createHttp1Front stops reading while a client that pipelines does not read", async (t) => {
  const site = await start(t, (exchange) => exchange.send(200, [], "x".repeat(50_000)), {
    clocks: { progressMs: 300 },
  });
  const wire = await connect(site.port);
  wire.socket.pause();
  wire.write(GET.repeat(20_000));
  await once(await firstAccepted(site), "close");
  const { requests, rx } = site.counters.vhost("h:80");
  assert.ok(requests > 0 && requests < 5_000, String(requests));
  // One read and what one more may have brought before the first was parsed.
  assert.ok(rx <= 2 * 65_536, String(rx));
  wire.socket.destroy();
});

test("createHttp1Front answers what came before a malformed request, then that, then nothing", async (t) => {
  const { open, passed } = gate();
  const site = await start(t, async (exchange) => {
    await passed;
    exchange.send(200, [], "one");
  });
  const wire = await connect(site.port);
  wire.write(`${GET}BAD\r\n\r\n${GET}`);
  await new Promise((resolve) => setImmediate(resolve));
  open();
  const { replies } = parseReplies(await wire.rest());
  assert.deepEqual(
    replies.map((reply) => reply.status),
    [200, 400],
  );
});

test("createHttp1Front does not act on what follows a request that ends the connection", async (t) => {
  const paths: string[] = [];
  const site = await start(t, (exchange) => {
    paths.push(exchange.path);
    exchange.send(200, [], "x");
  });
  const last = "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  const received = await exchangeBytes(site.port, last + GET);
  assert.equal(countStatusLines(received), 1);
  assert.deepEqual(paths, ["/last"]);
});

test("createHttp1Front answers a client that has closed its sending side", async (t) => {
  const site = await start(t, async (exchange) => {
    await new Promise((resolve) => setImmediate(resolve));
    exchange.send(200, [], "late");
  });
  const wire = await connect(site.port);
  wire.write(GET.repeat(2));
  wire.socket.end();
  const { replies } = parseReplies(await wire.rest());
  assert.deepEqual(
    replies.map((reply) => reply.body),
    ["late", "late"],
  );
  await settled(site);
});

test("createHttp1Front speaks HTTP/1.0: closes, keeps on demand, never chunks", async (t) => {
  const site = await start(t, (exchange) => {
    if (exchange.path === "/whole") exchange.send(200, [], "whole");
    else exchange.stream(200, []).end("streamed");
  });
  const whole = parseReplies(await exchangeBytes(site.port, "GET /whole HTTP/1.0\r\n\r\n"))
    .replies[0];
  assert.deepEqual([whole?.body, whole?.headers.get("connection")], ["whole", "close"]);
  const wire = await connect(site.port);
  wire.write("GET /whole HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const [kept] = await wire.replies(1);
  assert.equal(kept?.headers.get("connection"), "keep-alive");
  wire.write("GET / HTTP/1.0\r\nConnection: keep-alive, te\r\nTE: chunked\r\n\r\n");
  const streamed = parseReplies(await wire.rest()).replies[1];
  assert.deepEqual(
    [
      streamed?.body,
      streamed?.headers.get("connection"),
      streamed?.headers.get("transfer-encoding"),
    ],
    ["streamed", "close", undefined],
  );
});

test("Http1Exchange sends no body for HEAD, 204 and 304, and the fields of GET for HEAD", async (t) => {
  const site = await start(t, (exchange) => {
    const status = Number(exchange.path.slice(1));
    if (exchange.query === "stream") exchange.stream(status, []).end("body");
    else exchange.send(status, [["Content-Length", "99"]], "body");
  });
  for (const target of ["/200", "/200?stream", "/204", "/204?stream", "/304", "/304?stream"]) {
    const get = await request(site.port, `GET ${target}`);
    const head = await request(site.port, `HEAD ${target}`);
    const framing = ["content-length", "transfer-encoding"] as const;
    assert.deepEqual(
      framing.map((name) => head.headers.get(name)),
      framing.map((name) => get.headers.get(name)),
    );
    const bodied = target.startsWith("/200");
    assert.equal(get.body, bodied ? "body" : "");
    assert.equal(head.body, "");
    if (!bodied)
      assert.deepEqual(
        framing.map((name) => get.headers.get(name)),
        [undefined, undefined],
      );
  }
  for (const line of site.logged.filter((entry) => !/"GET .*" 200/.test(entry)))
    assert.match(line, /" \d{3} - "/);
});

test("Http1Exchange adds Date, Server, configured fields and HSTS to every answer", async (t) => {
  const site = await start(t, (exchange) => exchange.send(200, [["X-Own", "1"]], "x"), {
    secure: true,
    serverString: "portico-test",
    keys: { sts: "1", headers: [{ "X-Conf": "2" }] },
  });
  for (const [line, status] of [
    ["GET /", 200],
    ["GET /%", 400],
    ["TRACE /", 405],
  ] as const) {
    const {
      headers,
      status: found,
      body,
    } = await request(site.port, line, ["Authorization: secret"]);
    assert.equal(found, status);
    assert.ok(Math.abs(Date.parse(headers.get("date") ?? "") - Date.now()) < 60_000);
    assert.equal(headers.get("server"), "portico-test");
    assert.equal(headers.get("x-conf"), "2");
    assert.equal(headers.get("strict-transport-security"), "max-age=15768000; includeSubDomains");
    assert.ok(!body.includes("secret"));
  }
});

test("createHttp1Front answers OPTIONS * and names what it allows", async (t) => {
  const site = await start(t, (exchange) => exchange.send(500, []));
  const { status, headers } = await request(site.port, "OPTIONS *");
  assert.equal(status, 200);
  assert.match(headers.get("allow") ?? "", /GET, HEAD/);
  const trace = await request(site.port, "TRACE /");
  assert.match(trace.headers.get("allow") ?? "", /GET, HEAD/);
});

test("Http1Exchange sends 100 when the body is read, and not before", async (t) => {
  const { open, passed } = gate();
  const site = await start(t, async (exchange) => {
    await passed;
    let body = "";
    for await (const chunk of exchange.body) body += String(chunk);
    exchange.send(200, [], body);
  });
  const wire = await connect(site.port);
  wire.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n");
  let early = "";
  wire.socket.once("data", (chunk) => (early = String(chunk)));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(early, "");
  open();
  assert.deepEqual(
    (await wire.replies(1)).map((reply) => reply.status),
    [100],
  );
  wire.write("hi");
  const replies = await wire.replies(2);
  assert.deepEqual([replies[1]?.status, replies[1]?.body], [200, "hi"]);
  assert.equal(replies[1]?.headers.get("connection"), "keep-alive");
  wire.socket.destroy();
});

test("Http1Exchange answers without 100 and closes when the body is not wanted", async (t) => {
  const site = await start(t, (exchange) => exchange.send(403, [], "no"));
  const received = await exchangeBytes(
    site.port,
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
  );
  const { replies } = parseReplies(received);
  assert.deepEqual(
    [replies.length, replies[0]?.status, replies[0]?.headers.get("connection")],
    [1, 403, "close"],
  );
});

test("createHttp1Front lingers, so an early answer reaches a client that is still sending", async (t) => {
  const site = await start(t, (exchange) => exchange.send(413, [], "too much"));
  const wire = await connect(site.port);
  wire.write(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n`);
  const [reply] = await wire.replies(1);
  // A server that had closed would answer these with a reset, and the answer would be gone.
  wire.write("x".repeat(3_000_000));
  const received = await wire.rest();
  assert.deepEqual([reply?.status, reply?.headers.get("connection")], [413, "close"]);
  assert.equal(parseReplies(received).replies[0]?.body, "too much");
  await settled(site);
});

test("createHttp1Front ends a goodbye that takes too long or too much", async (t) => {
  const site = await start(t, (exchange) => exchange.send(413, [], "x"), {
    clocks: { lingerMs: 100 },
  });
  const head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n";
  const silent = await connect(site.port);
  silent.write(head);
  await silent.replies(1);
  await settled(site);
  const flood = await connect(site.port);
  flood.socket.on("error", () => {});
  flood.write(head);
  await flood.replies(1);
  const more = setInterval(() => flood.write("x".repeat(500_000)), 1);
  t.after(() => clearInterval(more));
  await settled(site);
});

test("createHttp1Front cuts a header that trickles, on a new and on a kept connection", async (t) => {
  const site = await start(t, (exchange) => exchange.send(200, [], "x"), {
    clocks: { headerMs: 300 },
  });
  for (const before of ["", GET]) {
    const wire = await connect(site.port);
    wire.socket.on("error", () => {});
    wire.write(`${before}GET / HTTP/1.1\r\nHost: h\r\n`);
    const trickle = setInterval(() => wire.write("A: b\r\n"), 20);
    t.after(() => clearInterval(trickle));
    const received = await wire.rest();
    clearInterval(trickle);
    assert.deepEqual(
      parseReplies(received).replies.map((reply) => reply.status),
      before ? [200, 408] : [408],
    );
  }
});

test("createHttp1Front closes connections that never ask, without a word and without a line", async (t) => {
  const site = await start(t, (exchange) => exchange.send(200, []), { clocks: { headerMs: 100 } });
  assert.equal(await exchangeBytes(site.port, ""), "");
  await settled(site);
  assert.deepEqual([site.logged, site.counters.vhost("h:80").connections], [[], 1]);
});

test("createHttp1Front closes idle connections after keepalive_timeout, empty lines or not", async (t) => {
  const site = await start(t, (exchange) => exchange.send(200, [], "x"), {
    clocks: { headerMs: 200 },
    keys: { keepalive_timeout: 1 },
  });
  const idle = await connect(site.port);
  idle.write(GET);
  const busy = await connect(site.port);
  busy.socket.on("error", () => {});
  busy.write(GET);
  const lines = setInterval(() => busy.write("\r\n"), 50);
  t.after(() => clearInterval(lines));
  for (const received of [await idle.rest(), await busy.rest()]) {
    const { replies } = parseReplies(received);
    assert.equal(replies[0]?.headers.get("keep-alive"), "timeout=1");
    assert.equal(replies[0]?.status, 200);
  }
});

test("createHttp1Front cuts a body that stops with 408, and waits for a mount that is slow", async (t) => {
  const { open, passed } = gate();
  const site = await start(
    t,
    async (exchange) => {
      if (exchange.method === "GET") {
        await passed;
        return exchange.send(200, [], "slow");
      }
      exchange.body.resume();
      exchange.onAbort(open);
      return undefined;
    },
    { clocks: { progressMs: 100 } },
  );
  const slow = await connect(site.port);
  slow.write(GET);
  const stalled = await exchangeBytes(
    site.port,
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc",
  );
  assert.equal(statusOf(stalled), 408);
  assert.equal((await slow.replies(1))[0]?.body, "slow");
  slow.socket.destroy();
});

test("createHttp1Front cuts a client that asks for much and reads nothing", async (t) => {
  let reason: Error | null | undefined;
  const site = await start(
    t,
    (exchange) => {
      const body = exchange.stream(200, []);
      const piece = Buffer.alloc(1_000_000);
      const fill = (): void => {
        while (body.write(piece));
        body.once("drain", fill);
      };
      body.on("close", () => (reason = body.errored));
      fill();
    },
    { clocks: { progressMs: 200 } },
  );
  const wire = await connect(site.port);
  wire.socket.pause();
  wire.write(GET);
  await once(await firstAccepted(site), "close");
  await settled(site);
  assert.equal(reason, null);
  assert.equal(site.counters.vhost("h:80").aborted, 1);
  assert.match(site.logged[0] ?? "", /" 200 \d+ "/);
  wire.socket.destroy();
});

test("Http1Exchange holds a streamed body to its announced length", async (t) => {
  const site = await start(t, (exchange) => {
    const body = exchange.stream(200, [["Content-Length", "5"]]);
    body.end({ "/short": "1234", "/exact": "12345", "/long": "123456" }[exchange.path]);
  });
  assert.equal((await request(site.port, "GET /exact")).body, "12345");
  for (const path of ["/short", "/long"]) {
    const received = await exchangeBytes(site.port, `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
    assert.equal(parseReplies(received).replies.length, 0, received);
  }
  assert.equal(site.counters.vhost("h:80").aborted, 2);
});

test("Http1Exchange resets where the mere end would look like the end of the body", async (t) => {
  const site = await start(t, (exchange) => {
    const body = exchange.stream(200, []);
    body.write("half", () => body.destroy(new Error("Out of luck")));
  });
  const chunked = await exchangeBytes(site.port, GET);
  assert.ok(chunked.includes("half") && !chunked.includes("\r\n0\r\n"));
  const wire = await connect(site.port);
  wire.write("GET / HTTP/1.0\r\n\r\n");
  await assert.rejects(once(wire.socket, "end"), { code: "ECONNRESET" });
});

test("Http1Exchange turns errors into pages that repeat nothing of the request", async (t) => {
  const { HttpError } = await import("../../../worker/http/exchange.ts");
  const site = await start(t, (exchange) => {
    if (exchange.path === "/thrown")
      throw new HttpError(403, "<b>No</b>", { headers: [["X-A", "1"]] });
    if (exchange.path === "/bug") throw new TypeError("secret");
    return Promise.reject(new HttpError(503, "secret"));
  });
  const thrown = await request(site.port, "GET /thrown?<script>");
  assert.deepEqual([thrown.status, thrown.headers.get("x-a")], [403, "1"]);
  assert.match(thrown.body, /403 Forbidden.*&#60;b&#62;No/s);
  assert.ok(!thrown.body.includes("script"));
  for (const [path, status] of [
    ["/bug", 500],
    ["/rejected", 503],
  ] as const) {
    const reply = await request(site.port, `GET ${path}`);
    assert.equal(reply.status, status);
    assert.ok(!reply.body.includes("secret"));
  }
});

test("Http1Exchange survives a mount that answers twice, with bad fields, or after the client left", async (t) => {
  const { open, passed } = gate();
  const site = await start(t, async (exchange) => {
    if (exchange.path === "/twice") {
      exchange.send(200, [], "once");
      exchange.send(200, [], "twice");
    } else if (exchange.path === "/split") exchange.send(200, [["X-A", "a\r\nSet-Cookie: b"]]);
    else {
      exchange.onAbort(open);
      await passed;
      exchange.stream(200, []).end("nobody");
      exchange.send(200, []);
      exchange.fail(new Error("Late"));
    }
  });
  assert.equal((await request(site.port, "GET /twice")).body, "once");
  const split = await request(site.port, "GET /split");
  assert.deepEqual([split.status, split.headers.get("set-cookie")], [500, undefined]);
  const leaving = await connect(site.port);
  leaving.write(GET);
  while (site.front.active === 0) await new Promise((resolve) => setImmediate(resolve));
  leaving.socket.resetAndDestroy();
  await passed;
  await settled(site);
  assert.match(site.logged.at(-1) ?? "", /" 499 - "/);
});

test("createHttp1Front counts and logs each request once, bytes by vhost", async (t) => {
  const handle: Handle = (exchange) => exchange.send(200, [], "12345");
  const site = await startSite(t, {
    vhosts: ["a", "b"].map((name) => ({ name, mounts: [{ mountpoint: "/", handle }] })),
  });
  const wire = await connect(site.port);
  const toA = 'GET /1 HTTP/1.1\r\nHost: a\r\nReferer: r\r\nUser-Agent: "u"\r\n\r\n';
  const toB = "GET http://B:80/2?q HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  wire.write(toA);
  const [first] = await wire.replies(1);
  wire.write(toB);
  const received = await wire.rest();
  await settled(site);
  const [a, b] = [site.counters.vhost("a:80"), site.counters.vhost("b:80")];
  assert.deepEqual([a.requests, b.requests, a.status2xx, b.status2xx], [1, 1, 1, 1]);
  assert.deepEqual([a.connections, b.connections], [1, 0]);
  assert.deepEqual([a.rx, b.rx], [toA.length, toB.length]);
  assert.equal(a.tx + b.tx, received.length);
  assert.ok(first && a.tx > 0 && b.tx > 0);
  const timed = [a, b].map(({ latency }) => latency.reduce((sum, count) => sum + count));
  assert.deepEqual(timed, [1, 1]);
  const lines = site.logged.map((line) => line.replace(/\[.*?\]/, "[T]"));
  assert.deepEqual(lines, [
    '127.0.0.1 - - [T] "GET /1 HTTP/1.1" 200 5 "r" "\\"u\\""\n',
    '127.0.0.1 - - [T] "GET http://B:80/2?q HTTP/1.1" 200 5 "-" "-"\n',
  ]);
});

test("createHttp1Front drains: the next answer of each connection is its last", async (t) => {
  const { open, passed } = gate();
  const site = await start(t, async (exchange) => {
    if (exchange.path === "/slow") await passed;
    exchange.send(200, [], "x");
  });
  const idle = await connect(site.port);
  idle.write(GET);
  await idle.replies(1);
  const busy = await connect(site.port);
  busy.write("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  while (site.front.active === 0) await new Promise((resolve) => setImmediate(resolve));
  site.front.drain();
  assert.equal(site.front.open, 2);
  open();
  idle.write(GET);
  for (const wire of [idle, busy])
    assert.equal(
      parseReplies(await wire.rest())
        .replies.at(-1)
        ?.headers.get("connection"),
      "close",
    );
  await settled(site);
});

test("createHttp1Front closeIdle spares what is in flight, stop cuts it", async (t) => {
  const site = await start(t, (exchange) => {
    if (exchange.path === "/") exchange.send(200, [], "x");
  });
  const idle = await connect(site.port);
  idle.write(GET);
  await idle.replies(1);
  const fresh = await connect(site.port);
  const busy = await connect(site.port);
  busy.write("GET /never HTTP/1.1\r\nHost: h\r\n\r\n");
  while (site.front.active === 0 || site.front.open < 3)
    await new Promise((resolve) => setImmediate(resolve));
  site.front.closeIdle();
  await Promise.all([idle.rest(), fresh.rest()]);
  while (site.front.open > 1) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(site.front.active, 1);
  site.front.stop();
  assert.equal(await busy.rest(), "");
  await settled(site);
  assert.equal(site.counters.vhost("h:80").aborted, 1);
});
