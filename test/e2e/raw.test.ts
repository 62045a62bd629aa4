// Connections that are not HTTP: all of a port, or what is left beside HTTP and TLS.

import assert from "node:assert/strict";
import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import test, { type TestContext } from "node:test";
import tls from "node:tls";
import { certificateMaker } from "../helpers/certificates.ts";
import { startPortico, waitUntil } from "../helpers/server.ts";

const BANNER = "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n";
const GET = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/** A server behind the tunnel: says what it got, in capitals. */
async function startShouter(t: TestContext): Promise<number> {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("data", (chunk) => socket.write(chunk.toString("latin1").toUpperCase()));
    socket.on("end", () => socket.end());
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

function site(keys: Record<string, unknown>) {
  return {
    name: "localhost",
    port: 0,
    interface: "127.0.0.1",
    mounts: [{ mountpoint: "/", origin: "file://www" }],
    ...keys,
  };
}

const files = { "www/index.html": "a page" };

async function dial(t: TestContext, port: number): Promise<net.Socket> {
  const socket = net.connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

/** All that comes until the other side is done; `last` says that there is no more from here. */
async function converse(socket: net.Socket, ...texts: readonly string[]): Promise<string> {
  for (const text of texts) socket.write(text);
  socket.end();
  let received = "";
  for await (const chunk of socket) received += String(chunk);
  return received;
}

test("a port for a raw protocol gives it every connection, also one that speaks HTTP", async (t) => {
  const keys = {
    "listen-accept-role": "raw-skt",
    "listen-accept-protocol": "protocol-lws-raw-test",
    onlyraw: "1",
    "ws-protocols": { "protocol-lws-raw-test": { raw: "1" } },
  };
  const portico = await startPortico(t, { conf: { vhosts: [site(keys)] }, files, workers: 1 });
  assert.equal(await converse(await dial(t, portico.port()), GET), GET);
  const large = "x".repeat(300_000);
  assert.equal(await converse(await dial(t, portico.port()), large), large);
  const { vhosts } = await waitUntil("the bytes to be counted", async () => {
    const board = await portico.status();
    return (board.vhosts[0]?.counters.rx ?? 0) >= large.length && board;
  });
  assert.equal(vhosts[0]?.counters.connections, 2);
  assert.equal(vhosts[0].counters.requests, 0);
});

test("what does not begin like HTTP goes through the tunnel, HTTP is served beside it", async (t) => {
  const far = await startShouter(t);
  const keys = {
    "listen-accept-role": "raw-proxy",
    "listen-accept-protocol": "raw-proxy",
    "fallback-listen-accept": "1",
    "ws-protocols": { "raw-proxy": { onward: `ipv4:127.0.0.1:${far}` } },
  };
  const portico = await startPortico(t, { conf: { vhosts: [site(keys)] }, files, workers: 1 });
  const port = portico.port();
  assert.match(await converse(await dial(t, port), GET), /^HTTP\/1\.1 200 OK\r\n[^]*a page$/);
  assert.equal(await converse(await dial(t, port), BANNER), BANNER.toUpperCase());
  // The first bytes alone tell nothing yet.
  const slow = await dial(t, port);
  for (const byte of "PUT") slow.write(byte);
  assert.equal(await converse(slow, "ty\n"), "PUTTY\n");
  const lines = await dial(t, port);
  assert.match(await converse(lines, "\r\n", GET), /^HTTP\/1\.1 200 /);
});

test("ssh and https share a port", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const { cert, key } = make({ names: ["localhost"] });
  const far = await startShouter(t);
  const keys = {
    "host-ssl-cert": "tls.crt",
    "host-ssl-key": "tls.key",
    "listen-accept-role": "raw-proxy",
    "listen-accept-protocol": "raw-proxy",
    "fallback-listen-accept": "1",
    "allow-non-tls": "1",
    "ws-protocols": { "raw-proxy": { onward: `ipv4:127.0.0.1:${far}` } },
  };
  const portico = await startPortico(t, {
    conf: { global: { "init-ssl": "1" }, vhosts: [site(keys)] },
    files: { ...files, "tls.crt": cert, "tls.key": key },
    workers: 1,
  });
  const port = portico.port();
  assert.equal(await converse(await dial(t, port), BANNER), BANNER.toUpperCase());
  assert.match(await converse(await dial(t, port), GET), /^HTTP\/1\.1 400 /);
  const secure = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  t.after(() => secure.destroy());
  await once(secure, "secureConnect");
  assert.match(await converse(secure, GET), /^HTTP\/1\.1 200 /);
  const tunnel = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  t.after(() => tunnel.destroy());
  await once(tunnel, "secureConnect");
  assert.equal(await converse(tunnel, BANNER), BANNER.toUpperCase());
});

test("a raw connection outlives a reload, and ends with drain-secs", async (t) => {
  const keys = {
    "listen-accept-protocol": "protocol-lws-raw-test",
    "apply-listen-accept": "1",
    "ws-protocols": { "protocol-lws-raw-test": {} },
  };
  const global = { "drain-secs": 1 };
  const portico = await startPortico(t, {
    conf: { global, vhosts: [site(keys)] },
    files,
    workers: 1,
  });
  const socket = await dial(t, portico.port());
  socket.write("before");
  assert.equal(String((await once(socket, "data"))[0]), "before");
  assert.equal((await portico.control("reload")).ok, true);
  socket.write("after");
  assert.equal(String((await once(socket, "data"))[0]), "after");
  await once(socket, "close");
});

test("addresses that the vhost denies get no raw connection", async (t) => {
  const keys = {
    "listen-accept-protocol": "protocol-lws-raw-test",
    "apply-listen-accept": "1",
    "ws-protocols": { "protocol-lws-raw-test": {} },
    deny: "127.0.0.1",
  };
  const portico = await startPortico(t, { conf: { vhosts: [site(keys)] }, files, workers: 1 });
  const socket = await dial(t, portico.port());
  // The cut may arrive as a reset.
  socket.on("error", () => {});
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write("hello");
  await closed;
  assert.equal(socket.bytesRead, 0);
});
