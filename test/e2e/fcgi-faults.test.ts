// A FastCGI server behind a mount that is down, silent, gone in the middle, or talks nonsense: the client is told, or sees that
// the answer is not whole, and the next request is as good as any.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { temporaryDirectory } from "../helpers/site.ts";
import { startPortico, type Portico } from "../helpers/server.ts";
import { exchangeBytes, statusOf } from "../helpers/wire.ts";

const STDOUT = 6;
const END_REQUEST = 3;
const HEAD = "Content-Type: text/plain\r\n";
const GET = "GET /app/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/** A record of the protocol. */
function record(type: number, content: string): Buffer {
  const header = Buffer.from([1, type, 0, 1, 0, 0, 0, 0]);
  header.writeUInt16BE(content.length, 4);
  return Buffer.concat([header, Buffer.from(content, "latin1")]);
}

const END = record(END_REQUEST, "\0".repeat(8));
const GOOD = Buffer.concat([record(STDOUT, `${HEAD}\r\nfine\n`), END]);

type Act = (socket: net.Socket) => void;

/** A server of the protocol that does the first of `acts` for the first request, and so on; after them it answers well. */
async function serve(t: TestContext, acts: readonly Act[]): Promise<string> {
  const left = [...acts];
  const sockets = new Set<net.Socket>();
  const path = join(temporaryDirectory(t), "fcgi.sock");
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
    const act = left.shift() ?? ((one) => one.end(GOOD));
    socket.once("data", () => act(socket));
  });
  server.listen(path);
  await once(server, "listening");
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return path;
}

function start(t: TestContext, socket: string, expect: readonly RegExp[]): Promise<Portico> {
  const mount = { mountpoint: "/app", origin: `fcgi://unix:${socket}`, "cgi-timeout": 1 };
  return startPortico(t, {
    conf: { vhosts: [{ name: "localhost", port: 0, mounts: [mount] }] },
    workers: 1,
    expect,
  });
}

async function isFine(portico: Portico): Promise<void> {
  const answer = await exchangeBytes(portico.port(), GET);
  assert.equal(statusOf(answer), 200);
  assert.match(answer, /fine\n/);
}

test("a FastCGI server that is down is 502, and served again once it is up", async (t) => {
  const path = join(temporaryDirectory(t), "fcgi.sock");
  const portico = await start(t, path, [/^Cannot reach "fcgi:.*": ENOENT/]);
  assert.equal(statusOf(await exchangeBytes(portico.port(), GET)), 502);
  const server = net.createServer((socket) => socket.once("data", () => socket.end(GOOD)));
  server.listen(path);
  await once(server, "listening");
  t.after(() => server.close());
  await isFine(portico);
});

for (const [what, act, status] of [
  ["says nothing", () => {}, 504],
  ["leaves before it answers", (socket) => socket.destroy(), 502],
  ["speaks something else", (socket) => socket.end("HTTP/1.1 200 OK\r\n\r\n"), 502],
  ["sends a head without an end", (socket) => socket.end(record(STDOUT, HEAD)), 502],
  [
    "sends a head that is none",
    (socket) => socket.end(Buffer.concat([record(STDOUT, "no head\n\nx"), END])),
    502,
  ],
] as const satisfies readonly (readonly [string, Act, number])[])
  test(`a FastCGI server that ${what} is ${status}, and the next request is served`, async (t) => {
    const portico = await start(t, await serve(t, [act]), [/./]);
    assert.equal(statusOf(await exchangeBytes(portico.port(), GET)), status);
    await isFine(portico);
  });

for (const [what, act] of [
  ["leaves in the middle of its answer", (socket) => socket.end(record(STDOUT, `${HEAD}\r\nhalf`))],
  [
    "falls silent in the middle of its answer",
    (socket) => socket.write(record(STDOUT, `${HEAD}\r\nhalf`)),
  ],
  [
    "sends less than it announced",
    (socket) =>
      socket.end(Buffer.concat([record(STDOUT, `${HEAD}Content-Length: 100\r\n\r\nhalf`), END])),
  ],
] as const satisfies readonly (readonly [string, Act])[])
  test(`a FastCGI server that ${what}: the client can tell, and the next request is served`, async (t) => {
    const portico = await start(t, await serve(t, [act]), [/./]);
    const answer = await exchangeBytes(portico.port(), GET).catch(() => "");
    // Refused as a whole, or cut: never what looks like a whole answer.
    const isWhole = answer.endsWith("\r\n0\r\n\r\n") || /Content-Length: 4\r\n/i.test(answer);
    assert.ok(statusOf(answer) !== 200 || !isWhole, answer);
    await isFine(portico);
  });
