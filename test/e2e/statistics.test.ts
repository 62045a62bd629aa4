// The board counts what happened, each thing under its own name, and what it tells of parts adds up to what it tells of all.

import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import { test } from "node:test";
import tls from "node:tls";
import { WebSocket } from "ws";
import type { Board } from "../../ipc/board.ts";
import { certificateMaker } from "../helpers/certificates.ts";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";
import { exchangeBytes, statusOf } from "../helpers/wire.ts";

const HOST = "Host: a.test\r\nConnection: close\r\n";
const GET = `GET / HTTP/1.1\r\n${HOST}\r\n`;

async function boardWhen(portico: Portico, isRight: (board: Board) => boolean): Promise<Board> {
  let last: Board | undefined;
  return waitUntil(
    "the counts",
    async () => {
      last = await portico.status();
      return isRight(last) && last;
    },
    () => JSON.stringify({ ...last, vhosts: last?.vhosts.map(({ counters }) => counters) }),
  );
}

test("requests are counted for their vhost, mount, worker and generation alike", async (t) => {
  const portico = await startPortico(t, {
    conf: {
      vhosts: [
        {
          name: "a.test",
          port: 0,
          interface: "127.0.0.1",
          mounts: [
            { mountpoint: "/files", origin: "file://public" },
            { mountpoint: "/away", origin: ">http://b.test/" },
            { mountpoint: "/run", origin: "cgi://fail.cgi" },
            { mountpoint: "/idle", origin: "health://" },
          ],
        },
      ],
    },
    files: { "public/page.txt": "12345678", "fail.cgi": "#!/bin/sh\necho nothing\n" },
    workers: 2,
    expect: [/^CGI program failed/],
  });
  const ask = async (path: string, times: number, status: number): Promise<void> => {
    for (let time = 0; time < times; time += 1) {
      const answer = await exchangeBytes(portico.port(), `GET ${path} HTTP/1.1\r\n${HOST}\r\n`);
      assert.equal(statusOf(answer), status);
    }
  };
  await ask("/files/page.txt", 7, 200);
  await ask("/files/missing", 2, 404);
  await ask("/away", 3, 301);
  await ask("/run", 1, 502);
  await ask("/nowhere", 4, 404);
  const board = await boardWhen(portico, ({ totals }) => totals.requests >= 17);
  const [vhost] = board.vhosts;
  assert.ok(vhost);
  const told = vhost.mounts.map(({ mountpoint, counters }) => {
    if (!counters) return [mountpoint, undefined];
    const { requests, status2xx, status3xx, status4xx, status5xx } = counters;
    return [mountpoint, requests, status2xx, status3xx, status4xx, status5xx];
  });
  assert.deepEqual(told, [
    ["/files", 9, 7, 0, 2, 0],
    ["/away", 3, 0, 3, 0, 0],
    ["/run", 1, 0, 0, 0, 1],
    ["/idle", undefined],
  ]);
  assert.equal(sum(vhost.mounts.map(({ counters }) => sum(counters?.latency ?? []))), 13);
  const pages = vhost.mounts[0]?.counters;
  assert.ok(pages && pages.tx > 7 * 8, "the bodies of refusals count too");
  assert.deepEqual(board.totals, vhost.counters);
  assert.equal(sum(board.totals.latency), 17);
  for (const parts of [board.workers, board.generations]) {
    assert.equal(sum(parts.map(({ counters }) => counters.requests)), 17);
    assert.equal(sum(parts.map(({ counters }) => counters.tx)), board.totals.tx);
  }
  assert.deepEqual(
    board.generations.map(({ number, state, endsAt }) => [number, state, endsAt]),
    [[1, "serving", undefined]],
  );
  assert.equal(board.counters.connectionsAccepted, 17);
  assert.equal(sum(board.workers.map(({ gauges }) => gauges.openConnections)), 0);
});

test("rejected requests are counted by their reason, denied ones by who denied them", async (t) => {
  const portico = await startPortico(t, {
    conf: {
      global: { "max-uri-bytes": 100 },
      vhosts: [
        {
          name: "a.test",
          port: 0,
          interface: "127.0.0.1",
          "max-body-bytes": 10,
          mounts: [
            { mountpoint: "/", origin: "file://public" },
            { mountpoint: "/closed", origin: "file://public", deny: ["127.0.0.1"] },
            { mountpoint: "/locked", origin: "file://public", "basic-auth": "passwords" },
          ],
          "ws-protocols": [{ "lws-mirror-protocol": {} }],
        },
      ],
    },
    files: { "public/index.html": "hello", passwords: "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n" },
    workers: 1,
    expect: [/passwords/],
  });
  const say = async (bytes: string, status: number): Promise<void> =>
    assert.equal(statusOf(await exchangeBytes(portico.port(), bytes)), status, bytes);
  const asks = (path: string, ...fields: string[]): string =>
    `GET ${path} HTTP/1.1\r\n${HOST}${fields.map((field) => `${field}\r\n`).join("")}\r\n`;
  await say("rubbish\r\n\r\n", 400);
  await say(asks(`/${"x".repeat(200)}`), 414);
  await say(`POST / HTTP/1.1\r\n${HOST}Content-Length: 11\r\n\r\n`, 413);
  await say(`CONNECT a.test:1 HTTP/1.1\r\n${HOST}\r\n`, 405);
  await say(
    `GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: nobody\r\n\r\n`,
    400,
  );
  await say(asks("/closed"), 403);
  await say(asks("/locked"), 401);
  await say(asks("/locked", `Authorization: Basic ${btoa("ann:wrong")}`), 401);
  const { counters, totals } = await boardWhen(portico, (board) => board.totals.requests >= 8);
  const {
    rejectedMalformed,
    rejectedTooLarge,
    rejectedTooSlow,
    rejectedUpgrade,
    rejectedUnsupported,
    rejectedFull,
    deniedByRule,
    deniedByPassword,
  } = counters;
  const rejected = [
    rejectedMalformed,
    rejectedTooLarge,
    rejectedTooSlow,
    rejectedUpgrade,
    rejectedUnsupported,
    rejectedFull,
  ];
  assert.deepEqual(rejected, [1, 2, 0, 1, 1, 0]);
  assert.equal(totals.rejected, sum(rejected));
  // Who asks for the first time has not said anything wrong.
  assert.deepEqual([deniedByRule, deniedByPassword], [1, 1]);
});

test("files are counted by where they came from, and what compression made of them", async (t) => {
  const portico = await startPortico(t, {
    conf: {
      vhosts: [
        {
          name: "a.test",
          port: 0,
          interface: "127.0.0.1",
          mounts: [{ mountpoint: "/", origin: "file://public" }],
        },
      ],
    },
    files: {
      "public/large.bin": Buffer.alloc(300_000, 1),
      "public/words.txt": "word ".repeat(1_000),
    },
    workers: 1,
  });
  const ask = async (path: string, encoding: string): Promise<Response> => {
    const response = await fetch(`${portico.url()}${path}`, {
      headers: { "accept-encoding": encoding, connection: "close" },
    });
    await response.arrayBuffer();
    return response;
  };
  for (let time = 0; time < 3; time += 1) await ask("/large.bin", "identity");
  const packed = await ask("/words.txt", "br");
  assert.equal(packed.headers.get("content-encoding"), "br");
  // A file that was written a moment ago is not kept.
  await waitUntil("it to be old enough to be kept", async () => {
    await ask("/words.txt", "br");
    return (await portico.status()).counters.cacheHits >= 3;
  });
  const { counters, workers } = await portico.status();
  assert.ok(counters.cacheMisses >= 3, "the large file comes from disk");
  assert.ok(counters.cacheLoads >= 1);
  assert.equal(counters.compressedFiles, 1);
  assert.equal(counters.compressedFromBytes, 5_000);
  assert.ok(counters.compressedToBytes > 0 && counters.compressedToBytes < 500);
  const [gauges] = workers.map((worker) => worker.gauges);
  assert.equal(gauges?.cacheFiles, 1);
  assert.ok(gauges.cacheBytes > counters.compressedToBytes);
  assert.ok(gauges.compressedBytes >= counters.compressedToBytes);
});

test("connections are counted by what they are, handshakes by how they went", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const { cert, key } = make({ names: ["a.test"], days: 40 });
  const portico = await startPortico(t, {
    conf: {
      global: { "init-ssl": "1", "header-secs": 600 },
      vhosts: [
        {
          name: "a.test",
          port: 0,
          interface: "127.0.0.1",
          keepalive_timeout: 600,
          "host-ssl-cert": "a.crt",
          "host-ssl-key": "a.key",
          mounts: [{ mountpoint: "/", origin: "file://public" }],
          "ws-protocols": [{ "lws-mirror-protocol": {} }],
        },
        {
          name: "raw.test",
          port: 0,
          interface: "127.0.0.1",
          "listen-accept-role": "raw-skt",
          "listen-accept-protocol": "protocol-lws-raw-test",
          "apply-listen-accept": "1",
          "ws-protocols": [{ "protocol-lws-raw-test": {} }],
        },
      ],
    },
    files: { "a.crt": cert, "a.key": key, "public/index.html": "hello" },
    workers: 1,
  });
  const port = portico.port("a.test");
  const options = { host: "127.0.0.1", port, servername: "a.test", ca: cert };

  // Two connections of HTTP/1.1, the second with the session of the first.
  const first = tls.connect(options);
  const session = once(first, "session") as Promise<[Buffer]>;
  first.write(GET);
  first.resume();
  const [ticket] = await session;
  await once(first, "close");
  const second = tls.connect({ ...options, session: ticket });
  await once(second, "secureConnect");
  assert.equal(second.isSessionReused(), true);
  // One that does not like our certificate, one of HTTP/2, a WebSocket, and one that is not HTTP.
  const wary = tls.connect({ host: "127.0.0.1", port, servername: "a.test" });
  await once(wary, "error");
  const modern = http2.connect("https://a.test", {
    createConnection: () => tls.connect({ ...options, ALPNProtocols: ["h2"] }),
  });
  const stream = modern.request({ ":path": "/" });
  stream.resume();
  await once(stream, "end");
  const socket = new WebSocket(`wss://127.0.0.1:${port}/`, "lws-mirror-protocol", {
    createConnection: () => tls.connect(options),
  });
  await once(socket, "open");
  const raw = net.connect(portico.port("raw.test"), "127.0.0.1");
  await once(raw, "connect");
  raw.write("x");

  const open = await boardWhen(portico, ({ counters, workers }) => {
    const [gauges] = workers.map((worker) => worker.gauges);
    return counters.tlsFailed === 1 && gauges?.openRaw === 1 && gauges.openHttp2 === 1;
  });
  const { counters } = open;
  assert.deepEqual([counters.tlsHandshakes, counters.tlsResumed], [4, 1]);
  assert.deepEqual(
    [counters.connectionsAccepted, counters.http2Connections, counters.rawConnections],
    [6, 1, 1],
  );
  const [gauges] = open.workers.map((worker) => worker.gauges);
  assert.ok(gauges);
  // The second connection, HTTP/2, the WebSocket, the raw one.
  assert.deepEqual(
    [gauges.openConnections, gauges.openTls, gauges.openHttp2, gauges.openWebSockets],
    [4, 3, 1, 1],
  );
  assert.deepEqual(open.vhosts[0]?.certificate?.daysLeft, 39);
  second.destroy();
  modern.close();
  socket.terminate();
  raw.destroy();
  const closed = await boardWhen(
    portico,
    ({ workers }) => workers[0]?.gauges.openConnections === 0,
  );
  const after = closed.workers[0]?.gauges;
  assert.deepEqual(
    [after?.openTls, after?.openHttp2, after?.openWebSockets, after?.openRaw],
    [0, 0, 0, 0],
  );
});

test("the board tells who died and why, and until when a worker may finish", async (t) => {
  const portico = await startPortico(t, {
    conf: {
      global: { "drain-secs": 100 },
      vhosts: [
        {
          name: "a.test",
          port: 0,
          interface: "127.0.0.1",
          "ws-protocols": [{ "lws-mirror-protocol": {} }],
        },
      ],
    },
    workers: 1,
    expect: [/^Worker died/],
  });
  const [victim] = (await portico.status()).workers;
  assert.ok(victim);
  assert.equal(victim.endsAt, undefined);
  process.kill(victim.pid, "SIGKILL");
  const dead = await boardWhen(portico, ({ restarts }) => restarts === 1);
  const [death, ...others] = dead.deaths;
  assert.deepEqual(
    [death?.worker, death?.slot, death?.pid, death?.why, others.length],
    [victim.id, victim.slot, victim.pid, "SIGKILL", 0],
  );
  await boardWhen(portico, ({ workers }) => workers[0]?.state === "serving");
  // Somebody stays, so the old worker does too.
  const socket = new WebSocket(`ws://127.0.0.1:${portico.port()}/`, "lws-mirror-protocol");
  await once(socket, "open");
  const before = Date.now();
  assert.equal((await portico.control("reload")).ok, true);
  const { generations, workers } = await boardWhen(portico, (board) => board.generation === 2);
  const latest = Date.now();
  const leaving = workers.find(({ state }) => state === "draining");
  const [old, current] = generations;
  assert.deepEqual(
    [old?.state, current?.state, current?.endsAt],
    ["draining", "serving", undefined],
  );
  assert.equal(old?.endsAt, leaving?.endsAt);
  // The time over which the ends of WebSockets are spread is part of it.
  const ends = leaving?.endsAt ?? 0;
  assert.ok(ends >= before + 110_000 && ends <= latest + 110_000, `${ends - before}`);
  socket.terminate();
  await boardWhen(portico, (board) => board.generations.length === 1);
});

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
