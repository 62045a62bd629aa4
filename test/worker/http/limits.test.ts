// Limits of requests and of connections, on Node's parser.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Pace } from "../../../worker/http/pace.ts";
import { firstAccepted, startSite } from "../../helpers/site.ts";
import { connect, exchangeBytes, parseReplies, statusOf } from "../../helpers/wire.ts";

const CHUNKED = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
const GET = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

function post(path: string, bytes: number): string {
  return `POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Length: ${bytes}\r\nConnection: close\r\n\r\n${"x".repeat(bytes)}`;
}

async function startUploads(t: Parameters<typeof startSite>[0]) {
  const seen: string[] = [];
  const handle: NonNullable<
    Parameters<typeof startSite>[1]["vhosts"][0]["mounts"][0]["handle"]
  > = async (exchange) => {
    seen.push("begin");
    exchange.onAbort(() => void seen.push("abort"));
    let bytes = 0;
    for await (const chunk of exchange.body) bytes += (chunk as Buffer).length;
    exchange.send(200, [], String(bytes));
  };
  const site = await startSite(t, {
    vhosts: [
      {
        name: "h",
        keys: { "max-body-bytes": "10" },
        mounts: [
          { mountpoint: "/", handle },
          { mountpoint: "/more", keys: { "max-body-bytes": 20 }, handle },
          { mountpoint: "/all", keys: { "max-body-bytes": 0 }, handle },
        ],
      },
    ],
  });
  return { site, seen };
}

test("max-body-bytes refuses what is announced to be longer before anybody sees it", async (t) => {
  const { site, seen } = await startUploads(t);
  for (const [path, bytes, status] of [
    ["/", 10, 200],
    ["/", 11, 413],
    ["/more", 20, 200],
    ["/more", 21, 413],
    ["/all", 100_000, 200],
  ] as const)
    assert.equal(statusOf(await exchangeBytes(site.port, post(path, bytes))), status, path);
  assert.equal(seen.length, 3);
  assert.equal(site.counters.vhost("h:80").rejected, 2);
});

test("max-body-bytes holds for a body of unknown length too, wherever it is cut", async (t) => {
  const { site, seen } = await startUploads(t);
  const fits = await exchangeBytes(
    site.port,
    `${CHUNKED.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")}5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n`,
  );
  assert.match(fits, /^HTTP\/1\.1 200 .*\r\n\r\n10$|\r\n\r\n10$/s);
  for (const body of ["b\r\nhello world\r\n0\r\n\r\n", "5\r\nhello\r\n6\r\nhello!\r\n"]) {
    const received = await exchangeBytes(site.port, CHUNKED + body);
    const { replies, rest } = parseReplies(received);
    assert.deepEqual(
      replies.map(({ status, headers }) => [status, headers.get("connection")]),
      [[413, "close"]],
    );
    assert.equal(rest, "");
  }
  assert.deepEqual(seen, ["begin", "begin", "abort", "begin", "abort"]);
});

test("max-requests makes the last answer say so, and answers nothing behind it", async (t) => {
  const site = await startSite(t, {
    vhosts: [{ name: "h", mounts: [{ mountpoint: "/", handle: (one) => one.send(200, []) }] }],
    limits: { maxRequests: 3 },
  });
  const received = await exchangeBytes(site.port, GET.repeat(5));
  const { replies } = parseReplies(received);
  assert.deepEqual(
    replies.map(({ headers }) => headers.get("connection")),
    ["keep-alive", "keep-alive", "close"],
  );
});

test("max-connections of a vhost: one more gets 503, and the place of one that left", async (t) => {
  const handle = (exchange: { send(status: number, headers: []): void }): void =>
    exchange.send(200, []);
  const site = await startSite(t, {
    vhosts: [
      { name: "h", keys: { "max-connections": 1 }, mounts: [{ mountpoint: "/", handle }] },
      { name: "free", mounts: [{ mountpoint: "/", handle }] },
    ],
  });
  const first = await connect(site.port);
  first.write(GET + GET);
  await first.replies(2);
  const { replies } = parseReplies(await exchangeBytes(site.port, GET));
  assert.deepEqual(
    replies.map(({ status, headers }) => [status, headers.get("retry-after")]),
    [[503, "5"]],
  );
  // One that moves on to another vhost gives its place back, and so does one that closes.
  first.write(GET.replace("Host: h", "Host: free"));
  await first.replies(3);
  const second = await connect(site.port);
  second.write(GET);
  assert.equal((await second.replies(1))[0]?.status, 200);
  const closed = once(site.accepted.at(-1) ?? first.socket, "close");
  second.socket.destroy();
  await closed;
  const third = await connect(site.port);
  third.write(GET);
  assert.equal((await third.replies(1))[0]?.status, 200);
  first.socket.destroy();
  third.socket.destroy();
});

test("max-header-fields, max-uri-bytes and max-header-bytes are what is configured", async (t) => {
  const site = await startSite(t, {
    vhosts: [{ name: "h", mounts: [{ mountpoint: "/", handle: (one) => one.send(200, []) }] }],
    limits: { maxHeaderFields: 11, maxTargetBytes: 20, maxHeaderBytes: 1024 },
  });
  const head = (target: string, fields: string): string =>
    `GET ${target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n${fields}\r\n`;
  for (const [bytes, status] of [
    [head("/", "a: b\r\n".repeat(9)), 200],
    [head("/", "a: b\r\n".repeat(10)), 431],
    [head(`/${"a".repeat(19)}`, ""), 200],
    [head(`/${"a".repeat(20)}`, ""), 414],
    [head("/", `a: ${"b".repeat(800)}\r\n`), 200],
    [head("/", `a: ${"b".repeat(1_100)}\r\n`), 431],
  ] as const)
    assert.equal(statusOf(await exchangeBytes(site.port, bytes)), status);
});

const ANSWER_BYTES = 64 * 1024 * 1024;

test("min-send-rate cuts a client that takes its answer by the byte", async (t) => {
  const pieces = Buffer.alloc(64 * 1024);
  const aborted = Promise.withResolvers<void>();
  const site = await startSite(t, {
    vhosts: [
      {
        name: "h",
        mounts: [
          {
            mountpoint: "/",
            handle(exchange) {
              exchange.onAbort(() => aborted.resolve());
              const answer = exchange.stream(200, []);
              const write = (): void => {
                while (!answer.destroyed && answer.write(pieces));
                answer.once("drain", write);
              };
              write();
            },
          },
        ],
      },
    ],
    // Whatever it does, it is not still for so long.
    clocks: { sendMs: 300, minSendRate: ANSWER_BYTES, progressMs: 60_000 },
  });
  const wire = await connect(site.port);
  const { socket } = wire;
  // It reads on and on, at a fraction of the rate.
  socket.on("data", () => {
    socket.pause();
    setTimeout(() => socket.resume(), 20);
  });
  wire.write(GET);
  await aborted.promise;
  socket.destroy();
  assert.equal(site.counters.vhost("h:80").aborted, 1);
});

test("send-secs cuts a client that reads nothing, also of one large piece", async (t) => {
  const body = Buffer.alloc(ANSWER_BYTES);
  const site = await startSite(t, {
    vhosts: [
      { name: "h", mounts: [{ mountpoint: "/", handle: (one) => one.send(200, [], body) }] },
    ],
    clocks: { sendMs: 200, progressMs: 60_000, minSendRate: 0 },
  });
  const wire = await connect(site.port);
  wire.socket.pause();
  wire.write(GET);
  await once(await firstAccepted(site), "close");
  wire.socket.destroy();
  assert.equal(site.counters.vhost("h:80").aborted, 1);
});

test("Pace spends time, earns it by bytes, and saves no more than the grace", () => {
  let bytes = 0;
  const pace = new Pace(100, 1_000, () => bytes);
  assert.equal(pace.spend(900), false);
  bytes += 10; // 100 ms
  assert.equal(pace.spend(200), false);
  assert.equal(pace.spend(1), true);
  pace.begin();
  bytes += 1_000_000;
  assert.equal(pace.spend(500), false);
  assert.equal(pace.spend(1_000), false);
  assert.equal(pace.spend(1), true);
  assert.equal(new Pace(0, 0, () => 0).spend(1e9), false);
});

test("request-id: one name in the answer, in the log and for whoever answers", async (t) => {
  const seen: (string | undefined)[] = [];
  const site = await startSite(t, {
    vhosts: [
      {
        name: "h",
        keys: { "request-id": "1", "trusted-proxies": "127.0.0.1" },
        mounts: [
          {
            mountpoint: "/",
            handle(exchange) {
              seen.push(exchange.header("x-request-id"), exchange.remoteAddress);
              exchange.send(200, [["X-Request-Id", "mine"]]);
            },
          },
        ],
      },
    ],
  });
  const answers = await exchangeBytes(
    site.port,
    `${GET}GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: from-proxy\r\nX-Forwarded-For: 198.51.100.7\r\n\r\nGET * HTTP/1.1\r\nHost: h\r\n\r\n`,
  );
  const { replies } = parseReplies(answers);
  const ids = replies.map(({ headers }) => headers.get("x-request-id"));
  assert.match(ids[0] ?? "", /^[\da-f]{32}$/);
  assert.match(ids[2] ?? "", /^[\da-f]{32}$/);
  assert.deepEqual(ids, [ids[0], "from-proxy", ids[2]]);
  assert.deepEqual(seen, [ids[0], "127.0.0.1", "from-proxy", "198.51.100.7"]);
  assert.deepEqual(
    site.logged.map((line) => [line.split(" ")[0], /"([^"]*)"\n$/.exec(line)?.[1]]),
    [
      ["127.0.0.1", ids[0]],
      ["198.51.100.7", ids[1]],
      ["127.0.0.1", ids[2]],
    ],
  );
});
