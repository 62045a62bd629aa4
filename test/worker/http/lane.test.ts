// The lane as a client sees it: the same bytes, lines and numbers as from Node's parser alone, wherever the requests are cut.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import type { Mount } from "../../../worker/mount.ts";
import { createHttp1Front } from "../../../worker/http/node-http1.ts";
import { PreparedReply } from "../../../worker/http/prepared.ts";
import {
  firstAccepted,
  startSite,
  type TestMount,
  type TestSite,
  type TestSiteOptions,
} from "../../helpers/site.ts";
import { connect, countStatusLines, exchangeBytes, parseReplies } from "../../helpers/wire.ts";

const CONNECTIONS = Number(process.env["LANE_FUZZ_CONNECTIONS"] ?? 100);
const CUTS = 40;
const GET = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

const MOUNTS: readonly TestMount[] = [
  { mountpoint: "/moved", keys: { origin: ">https://example.com/x" } },
  {
    mountpoint: "/kept",
    keys: { origin: ">https://example.com/y", "append-path": "1", headers: [{ "X-Kept": "1" }] },
  },
  {
    mountpoint: "/echo",
    async handle(exchange) {
      let body = "";
      for await (const chunk of exchange.body) body += String(chunk);
      exchange.send(200, [], `${exchange.method} ${exchange.target} ${body}`);
    },
  },
];

const REQUESTS: readonly string[] = [
  "GET /moved HTTP/1.1\r\nHost: h\r\n\r\n",
  'GET /moved/%7e?a="b HTTP/1.1\r\nHost: h\r\nUser-Agent: a "b" \\c\r\nReferer: \xe9\r\n\r\n',
  "HEAD /kept/a/b?c=d HTTP/1.1\r\nHost: H.\r\n\r\n",
  "GET /kept//a/../b%20c HTTP/1.1\r\nHost: h:80\r\nConnection: keep-alive\r\n\r\n",
  "GET /nowhere HTTP/1.1\r\nHost: other\r\n\r\n",
  "HEAD / HTTP/1.0\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n",
  "GET /echo/1 HTTP/1.1\r\nHost: h\r\n\r\n",
  "POST /echo/2 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
  "POST /moved HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
  "GET /kept/last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
  "GET /moved HTTP/1.1\r\nHost: h h\r\n\r\n",
  "GET /moved HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
];
/** Ends in an answer that is the last one, so that both sides say when they are done. */
const LAST = "GET /moved HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/** A generator of its own, so that both fronts get the same and a failure can be repeated. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function startBoth(t: TestContext, options: TestSiteOptions): Promise<TestSite[]> {
  return Promise.all([
    startSite(t, options),
    startSite(t, { ...options, usesStreams: true }),
    startSite(t, { ...options, createFront: createHttp1Front }),
  ]);
}

/** Without what differs by the moment. */
function still(text: string): string {
  return text.replace(/Date: [^\r]+/g, "Date: now").replace(/\[[^\]]+\]/g, "[now]");
}

async function settled(site: TestSite): Promise<void> {
  while (site.front.open > 0 || site.front.active > 0) await new Promise(setImmediate);
}

test("Lane answers as Node's parser alone does, byte for byte, wherever the requests are cut", async (t) => {
  const sites = await startBoth(t, {
    serverString: "p",
    vhosts: [{ name: "h", keys: { headers: [{ "X-Conf": "2" }] }, mounts: MOUNTS }],
  });
  for (let connection = 0; connection < CONNECTIONS; connection += 1) {
    const answers = await Promise.all(
      sites.map(async ({ port }) => {
        const random = createRandom(connection);
        const picked = Array.from({ length: 1 + random(12) }, () => REQUESTS[random(8)] ?? "");
        // What ends a connection, at most once and mostly behind everything else.
        if (random(4) === 0)
          picked.splice(random(picked.length), 0, REQUESTS[random(REQUESTS.length)] ?? "");
        const bytes = [...picked, LAST].join("");
        const cuts = Array.from({ length: random(CUTS) }, () => random(bytes.length));
        const wire = await connect(port);
        wire.socket.on("error", () => {});
        let from = 0;
        for (const cut of [...cuts, bytes.length].toSorted((a, b) => a - b)) {
          wire.write(bytes.slice(from, cut));
          from = cut;
          await new Promise(setImmediate);
        }
        return wire.rest();
      }),
    );
    const [fast = "", slow = ""] = answers.map(still);
    assert.equal(fast, slow, `seed ${connection}`);
    assert.ok(countStatusLines(fast) > 0);
  }
  await Promise.all(sites.map(settled));
  const [fast, slow] = sites;
  assert.ok(fast && slow);
  assert.deepEqual(fast.logged.map(still).toSorted(), slow.logged.map(still).toSorted());
  const [{ rx, tx, ...counted }, { rx: slowRx, tx: slowTx, ...slowCounted }] = [
    untimed(fast.counters.vhost("h:80")),
    untimed(slow.counters.vhost("h:80")),
  ];
  assert.deepEqual(counted, slowCounted);
  const mounts = [fast, slow].map(({ counters }) =>
    [...counters.mounts()].map(([key, tally]) => [key, untimed(tally)]),
  );
  assert.deepEqual(mounts[0], mounts[1]);
  assert.equal(tx, slowTx);
  // What comes behind the last answer is read or not, as it happens.
  assert.ok(Math.abs(rx - slowRx) < CONNECTIONS * REQUESTS.join("").length, `${rx} ${slowRx}`);
});

/** How many were timed in place of how long each took. */
function untimed<C extends { readonly latency: readonly number[] }>(counters: C) {
  const { latency, ...rest } = counters;
  return { ...rest, timed: latency.reduce((sum, count) => sum + count, 0) };
}

/** A vhost with one mount that says itself what is ready. */
function startReady(
  t: TestContext,
  ready: NonNullable<Mount["ready"]>,
  options: Partial<TestSiteOptions> & { keys?: Record<string, unknown> } = {},
): Promise<TestSite> {
  const { keys = {}, ...rest } = options;
  const handle: Mount["handle"] = (exchange) => exchange.send(200, [], "slow");
  return startSite(t, {
    vhosts: [{ name: "h", keys, mounts: [{ mountpoint: "/", handle, ready }] }],
    ...rest,
  });
}

const OK = new PreparedReply(200, [], Buffer.from("fast"));

test("Lane asks a mount again when it is ready, keeps the order, and goes the slow way where it never is", async (t) => {
  let asked = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  let isThere = false;
  const site = await startReady(t, ({ path }) => {
    if (path === "/never") return Promise.reject(new Error("Not today"));
    if (path !== "/later" || isThere) return OK;
    asked += 1;
    return promise;
  });
  const wire = await connect(site.port);
  wire.write(GET + GET.replace("/ ", "/later ") + GET);
  await wire.replies(1);
  while (site.counters.activeRequests === 0) await new Promise(setImmediate);
  wire.write(GET);
  isThere = true;
  resolve();
  const replies = await wire.replies(4);
  assert.deepEqual([asked, replies.map(({ body }) => body)], [1, ["fast", "fast", "fast", "fast"]]);
  wire.write(GET.replace("/ ", "/never ") + GET);
  assert.deepEqual(
    (await wire.replies(6)).slice(4).map(({ body }) => body),
    ["slow", "slow"],
  );
  wire.socket.destroy();
  await settled(site);
  const { requests, aborted, connections } = site.counters.vhost("h:80");
  assert.deepEqual([requests, aborted, connections], [6, 0, 1]);
});

test("Lane counts a client that leaves before its answer is ready", async (t) => {
  const site = await startReady(t, () => new Promise<void>(() => {}));
  const wire = await connect(site.port);
  wire.write("GET /x HTTP/1.1\r\nHost: h\r\nReferer: r\r\n\r\n");
  while (site.counters.activeRequests === 0) await new Promise(setImmediate);
  wire.socket.resetAndDestroy();
  await settled(site);
  assert.match(site.logged[0] ?? "", /"GET \/x HTTP\/1\.1" 499 - "r" "-"/);
  assert.equal(site.counters.vhost("h:80").aborted, 1);
});

test("Lane counts a client whose connection closes in the moment its answer is ready", async (t) => {
  for (const usesStreams of [false, true]) {
    let isReady = false;
    const { promise, resolve } = Promise.withResolvers<void>();
    // Then it would be handed over.
    const site = await startReady(t, () => (isReady ? undefined : promise), { usesStreams });
    const wire = await connect(site.port);
    wire.write(GET);
    while (site.counters.activeRequests === 0) await new Promise(setImmediate);
    site.front.stop();
    isReady = true;
    resolve();
    await settled(site);
    assert.match(site.logged[0] ?? "", /"GET \/ HTTP\/1\.1" 499 /);
    assert.equal(site.counters.vhost("h:80").aborted, 1);
    assert.equal(site.front.open, 0);
  }
});

test("Lane gives to no other client what is left of a batch that failed", async (t) => {
  class BrokenReply extends PreparedReply {
    override write(): number {
      throw new Error("Broken");
    }
  }
  const broken = new BrokenReply(200, []);
  const site = await startReady(t, ({ path }) => (path === "/broken" ? broken : OK));
  const thrown = Promise.withResolvers<unknown>();
  process.setUncaughtExceptionCaptureCallback(thrown.resolve);
  t.after(() => process.setUncaughtExceptionCaptureCallback(null));
  const wire = await connect(site.port);
  wire.write(GET + GET.replace("/ ", "/broken "));
  assert.match(String(await thrown.promise), /Broken/);
  const last = GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
  assert.equal(countStatusLines(await exchangeBytes(site.port, last)), 1);
  wire.socket.destroy();
  await settled(site);
  assert.equal(site.logged.length, 1);
});

test("Lane answers a client that has closed its sending side, then closes", async (t) => {
  let isThere = false;
  const site = await startReady(t, () => {
    if (isThere) return OK;
    isThere = true;
    return new Promise<void>((resolve) => setImmediate(resolve));
  });
  const wire = await connect(site.port);
  wire.write(GET.repeat(3));
  wire.socket.end();
  const { replies } = parseReplies(await wire.rest());
  assert.equal(replies.length, 3);
  await settled(site);
  assert.match(await exchangeHalf(site, GET.slice(0, 9)), /^HTTP\/1\.1 400 /);
});

test("Lane hands over what a client asked that has closed its sending side, also where a mount had to look first", async (t) => {
  let isKnown = false;
  const { promise, resolve } = Promise.withResolvers<void>();
  const site = await startReady(t, () => (isKnown ? undefined : promise));
  const wire = await connect(site.port);
  wire.write(GET.repeat(2));
  wire.socket.end();
  await once(wire.socket, "finish");
  // The end is in the socket then, and has had its chance to be told.
  for (let turns = 0; turns < 3 || site.counters.activeRequests === 0; turns += 1)
    await new Promise(setImmediate);
  isKnown = true;
  resolve();
  assert.deepEqual(
    parseReplies(await wire.rest()).replies.map(({ body }) => body),
    ["slow", "slow"],
  );
  await settled(site);
});

test("Lane hands over what waits behind an answer, also where the client has closed its sending side", async (t) => {
  const handle: Mount["handle"] = async (exchange) => {
    for await (const chunk of exchange.body) void chunk;
    exchange.send(200, [], "slow");
  };
  // As over TLS, where no write is done at once.
  const mounts = [{ mountpoint: "/", handle, ready: () => OK }];
  const site = await startSite(t, { vhosts: [{ name: "h", secure: true, mounts }] });
  const post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
  for (const isHalf of [false, true]) {
    const wire = await connect(site.port);
    wire.write(GET + post + GET);
    if (isHalf) wire.socket.end();
    const replies = await wire.replies(3);
    assert.deepEqual(
      replies.map(({ body }) => body),
      ["fast", "slow", "slow"],
    );
  }
});

async function exchangeHalf(site: TestSite, bytes: string): Promise<string> {
  const wire = await connect(site.port);
  wire.write(bytes);
  wire.socket.end();
  return wire.rest();
}

test("Lane refuses a head that takes too long, also when it drips, and says nothing to who never asked", async (t) => {
  const site = await startReady(t, () => OK, { clocks: { headerMs: 150 } });
  const silent = connect(site.port).then((wire) => wire.rest());
  const half = await connect(site.port);
  half.write(GET + GET.slice(0, 12));
  const drip = await connect(site.port);
  drip.socket.on("error", () => {});
  const dripping = setInterval(() => drip.write("x"), 10);
  t.after(() => clearInterval(dripping));
  drip.write("GET /");
  const received = await half.rest();
  assert.match(received.replace(/^HTTP\/1\.1 200 .*?fast/s, ""), /^HTTP\/1\.1 408 /);
  assert.match(await drip.rest(), /^HTTP\/1\.1 408 /);
  assert.equal(await silent, "");
  await settled(site);
  assert.equal(site.counters.vhost("h:80").rejected, 2);
  assert.equal(site.logged.length, 3);
});

test("Lane closes idle connections after keepalive_timeout", async (t) => {
  const site = await startReady(t, () => OK, {
    keys: { keepalive_timeout: 1 },
    clocks: { headerMs: 50 },
  });
  const wire = await connect(site.port);
  const startedAt = performance.now();
  wire.write(GET);
  assert.match(await wire.rest(), /Keep-Alive: timeout=1\r\n/);
  assert.ok(performance.now() - startedAt >= 1_000);
});

test("Lane reads nothing more of a client that pipelines and does not take its answers, and cuts it", async (t) => {
  const big = new PreparedReply(200, [], Buffer.alloc(100_000));
  const site = await startReady(t, () => big, { clocks: { sendMs: 300 } });
  const wire = await connect(site.port);
  wire.socket.on("error", () => {});
  wire.socket.pause();
  wire.write(GET.repeat(20_000));
  await once(await firstAccepted(site), "close");
  await settled(site);
  const { requests, aborted, rx } = site.counters.vhost("h:80");
  assert.ok(requests < 500 && aborted > 0, `${requests} ${aborted}`);
  assert.ok(rx <= 4 * 65_536, String(rx));
  assert.equal(site.logged.length, requests);
  wire.socket.destroy();
});

test("Lane sends everything to a client that pipelines and reads at its own pace", async (t) => {
  const big = new PreparedReply(200, [], Buffer.alloc(50_000, "x"));
  const site = await startReady(t, () => big);
  const wire = await connect(site.port);
  wire.socket.pause();
  wire.write(GET.repeat(300));
  while (site.counters.activeRequests === 0) await new Promise(setImmediate);
  wire.socket.resume();
  const replies = await wire.replies(300);
  assert.ok(replies.every(({ body }) => body.length === 50_000));
  wire.socket.destroy();
  await settled(site);
  assert.deepEqual([site.counters.vhost("h:80").requests, site.counters.activeRequests], [300, 0]);
});

test("Lane says goodbye on the next answer while it drains", async (t) => {
  const site = await startReady(t, () => OK);
  const wire = await connect(site.port);
  wire.write(GET);
  await wire.replies(1);
  site.front.drain();
  wire.write(GET + GET);
  const { replies } = parseReplies(await wire.rest());
  assert.deepEqual(
    replies.map(({ headers }) => headers.get("connection")),
    ["keep-alive", "close"],
  );
  await settled(site);
});

test("Lane closes idle connections when told to, and no others", async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isThere = false;
  const site = await startReady(t, ({ path }) => (path === "/" || isThere ? OK : promise));
  const idle = await connect(site.port);
  idle.write(GET);
  await idle.replies(1);
  const busy = await connect(site.port);
  busy.write(GET.replace("/ ", "/later "));
  while (site.counters.activeRequests === 0) await new Promise(setImmediate);
  site.front.closeIdle();
  await idle.rest();
  isThere = true;
  resolve();
  assert.equal((await busy.replies(1))[0]?.body, "fast");
  busy.socket.destroy();
});

test("Lane keeps to max-requests and to the connections of a vhost", async (t) => {
  const site = await startReady(t, () => OK, {
    keys: { "max-connections": "1" },
    limits: { maxRequests: 2 },
  });
  const wire = await connect(site.port);
  wire.write(GET);
  await wire.replies(1);
  assert.match(await exchangeBytes(site.port, GET), /^HTTP\/1\.1 503 /);
  wire.write(GET + GET);
  const { replies } = parseReplies(await wire.rest());
  assert.deepEqual(
    replies.map(({ headers }) => headers.get("connection")),
    ["keep-alive", "close"],
  );
  await settled(site);
  assert.match(
    await exchangeBytes(site.port, GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")),
    /fast$/,
  );
});

test("Lane never asks a mount behind a guard, nor on a vhost that must find out who asks", async (t) => {
  const guard = { rules: [() => undefined], password: undefined };
  const ready = (): never => assert.fail("It was asked");
  const handle: Mount["handle"] = (exchange) => exchange.send(200, [], "slow");
  const site = await startSite(t, {
    vhosts: [
      {
        name: "h",
        mounts: [
          { mountpoint: "/guarded", handle, ready, guard },
          { mountpoint: "/open", handle, ready: () => OK },
        ],
      },
      { name: "id", keys: { "request-id": "1" }, mounts: [{ mountpoint: "/", handle, ready }] },
      { name: "locked", guard, mounts: [] },
    ],
  });
  const close = "Connection: close\r\n\r\n";
  const bodyOf = async (path: string, host: string): Promise<string | undefined> =>
    parseReplies(
      await exchangeBytes(site.port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${close}`),
    ).replies[0]?.body;
  assert.equal(await bodyOf("/guarded", "h"), "slow");
  assert.equal(await bodyOf("/open", "h"), "fast");
  assert.equal(await bodyOf("/", "id"), "slow");
  assert.match((await bodyOf("/", "locked")) ?? "", /404/);
});

test("Lane closes behind the last answer of a client that wanted it to be the last, and waits for one that says more", async (t) => {
  const site = await startSite(t, {
    vhosts: [{ name: "h", mounts: MOUNTS }],
    clocks: { lingerMs: 3_600_000 },
  });
  const [polite, chatty] = [await connect(site.port), await connect(site.port)];
  // Neither client closes its own side yet.
  polite.write(LAST);
  await once(polite.socket, "end");
  assert.equal((await polite.replies(1))[0]?.status, 301);
  chatty.write(`${LAST}POST`);
  await once(chatty.socket, "end");
  const [ofPolite, ofChatty] = site.accepted;
  assert.equal(ofPolite?.destroyed, true);
  assert.equal(ofChatty?.destroyed, false);
  chatty.socket.end();
  await once(ofChatty, "close");
  polite.socket.destroy();
  chatty.socket.destroy();
});

test("Lane sheds no connection whose answer is made and not written yet", async (t) => {
  let shed = 0;
  const site = await startReady(t, ({ path }) => {
    if (path === "/shed") shed += site.front.shedIdle(10);
    return OK;
  });
  const wires = await Promise.all(Array.from({ length: 3 }, () => connect(site.port)));
  for (const wire of wires) {
    wire.write(GET);
    await wire.replies(1);
  }
  const [idle, ...asking] = wires;
  const shedding = await connect(site.port);
  while (site.accepted.length < 4) await new Promise(setImmediate);
  // All in one turn: the last one is asked when the answers of the others are ready.
  for (const wire of asking) wire.write(GET);
  shedding.write(GET.replace("/", "/shed"));
  for (const wire of asking) await wire.replies(2);
  await shedding.replies(1);
  assert.equal(countStatusLines((await idle?.rest()) ?? ""), 1);
  assert.equal(shed, 1);
  for (const wire of [...asking, shedding]) wire.socket.destroy();
  await settled(site);
  const { requests, aborted } = site.counters.vhost("h:80");
  assert.deepEqual([requests, aborted], [6, 0]);
});

test("Lane counts an answer that was made for a client whose connection is cut meanwhile", async (t) => {
  const site = await startReady(t, ({ path }) => {
    if (path === "/stop") site.front.stop();
    return OK;
  });
  const wires = await Promise.all(Array.from({ length: 2 }, () => connect(site.port)));
  for (const wire of wires) wire.socket.on("error", () => {});
  for (const wire of wires) {
    wire.write(GET);
    await wire.replies(1);
  }
  wires[0]?.write(GET);
  wires[1]?.write(GET.replace("/", "/stop"));
  for (const wire of wires) await wire.rest();
  await settled(site);
  const { requests, aborted } = site.counters.vhost("h:80");
  assert.deepEqual([requests, aborted, site.counters.activeRequests], [4, 2, 0]);
  assert.equal(site.logged.length, 4);
});
