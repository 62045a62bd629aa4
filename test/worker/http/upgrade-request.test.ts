// What leaves HTTP: only a WebSocket handshake that is a good request in every other way too.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import type { Exchange } from "../../../worker/http/exchange.ts";
import type { UpgradeRequest } from "../../../worker/http/upgrade-request.ts";
import { startSite, type TestSite } from "../../helpers/site.ts";
import { connect, exchangeBytes, parseReplies, type Wire } from "../../helpers/wire.ts";

const UPGRADE = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
const HANDSHAKE = `GET /chat?room=1 HTTP/1.1\r\nHost: b\r\nUser-Agent: u\r\n${UPGRADE}\r\n`;

function start(t: TestContext, onUpgrade: (upgrade: UpgradeRequest) => void): Promise<TestSite> {
  const handle = (exchange: Exchange): void => exchange.send(200, [], "http");
  const vhosts = ["a", "b"].map((name) => ({ name, mounts: [{ mountpoint: "/", handle }] }));
  return startSite(t, { vhosts, onUpgrade });
}

async function settled(site: TestSite): Promise<void> {
  while (site.front.open > 0 || site.front.active > 0)
    await new Promise((resolve) => setImmediate(resolve));
}

async function open(site: TestSite, bytes: string): Promise<Wire> {
  const wire = await connect(site.port);
  wire.write(bytes);
  return wire;
}

test("UpgradeRequest hands the socket over with what came behind the head", async (t) => {
  const site = await start(t, (upgrade) => {
    upgrade.accepted();
    const { path, target, head, socket, vhost } = upgrade;
    socket.write(`${vhost.config.name} ${path} ${target} ${head.toString()}`);
    socket.pipe(socket);
  });
  const wire = await open(site, `${HANDSHAKE}early`);
  await once(wire.socket, "data");
  assert.deepEqual([site.front.open, site.front.active], [0, 0]);
  wire.write(" late");
  wire.socket.end();
  assert.equal(await wire.rest(), "b /chat /chat?room=1 early late");
  const counters = site.counters.vhost("b:80");
  assert.deepEqual(
    [counters.requests, counters.upgrades, counters.status1xx, counters.rejected],
    [1, 1, 1, 0],
  );
  // Frames are counted by whoever has the socket now.
  assert.deepEqual([counters.rx, counters.tx], [HANDSHAKE.length, 0]);
  assert.match(site.logged[0] ?? "", /"GET \/chat\?room=1 HTTP\/1\.1" 101 - "-" "u"\n$/);
});

test("UpgradeRequest answers a refusal whole and closes", async (t) => {
  const headers = [
    ["Sec-WebSocket-Version", "13"],
    ["Upgrade", "websocket"],
  ] as const;
  const site = await start(t, (upgrade) => {
    upgrade.reject(426, "Version <13>", headers);
    upgrade.reject(500, "Twice");
    upgrade.accepted();
  });
  const { replies, rest } = parseReplies(
    await exchangeBytes(site.port, `${HANDSHAKE}GET / HTTP/1.1\r\n\r\n`),
  );
  const [reply] = replies;
  assert.deepEqual([replies.length, rest, reply?.status], [1, "", 426]);
  assert.equal(reply?.headers.get("connection"), "close, upgrade");
  assert.equal(reply?.headers.get("upgrade"), "websocket");
  assert.equal(reply?.headers.get("sec-websocket-version"), "13");
  assert.match(reply?.body ?? "", /Version &#60;13&#62;/);
  await settled(site);
  const counters = site.counters.vhost("b:80");
  assert.deepEqual([counters.requests, counters.rejected, counters.status4xx], [1, 1, 1]);
  assert.equal(site.logged.length, 1);
});

test("UpgradeRequest that nobody settles ends with its connection", async (t) => {
  const { promise, resolve } = Promise.withResolvers<UpgradeRequest>();
  const site = await start(t, resolve);
  const wire = await open(site, HANDSHAKE);
  const upgrade = await promise;
  assert.deepEqual([site.front.active, site.front.open], [1, 1]);
  wire.socket.resetAndDestroy();
  await settled(site);
  upgrade.reject(400, "Too late");
  assert.equal(site.counters.vhost("b:80").aborted, 1);
  assert.equal(site.logged.length, 1);
});

test("createHttp1Front stop cuts an undecided upgrade", async (t) => {
  const { promise, resolve } = Promise.withResolvers<UpgradeRequest>();
  const site = await start(t, resolve);
  const wire = await open(site, HANDSHAKE);
  await promise;
  site.front.closeIdle();
  assert.equal(site.front.open, 1);
  site.front.stop();
  assert.equal(await wire.rest(), "");
  await settled(site);
});

test("createHttp1Front refuses an upgrade whose head is malformed", async (t) => {
  const site = await start(t, () => assert.fail("Must not get here"));
  for (const head of [
    `GET /% HTTP/1.1\r\nHost: b\r\n${UPGRADE}`,
    `GET / HTTP/1.1\r\nHost: b\r\nHost: c\r\n${UPGRADE}`,
    `GET / HTTP/1.1\r\nHost: b@c\r\n${UPGRADE}`,
    `GET / HTTP/1.1\r\n${UPGRADE}`,
  ]) {
    const { replies } = parseReplies(await exchangeBytes(site.port, `${head}\r\n`));
    assert.deepEqual([replies.length, replies[0]?.status], [1, 400], head);
  }
});

test("createHttp1Front answers as HTTP what is no WebSocket handshake", async (t) => {
  const site = await start(t, () => assert.fail("Must not get here"));
  for (const head of [
    `POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n${UPGRADE}`,
    `GET / HTTP/1.0\r\nHost: b\r\n${UPGRADE}`,
    "GET / HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\n",
    "GET / HTTP/1.1\r\nHost: b\r\nConnection: upgrade\r\n",
    "GET / HTTP/1.1\r\nHost: b\r\nConnection: upgrade\r\nUpgrade: h2c\r\n",
    `GET / HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n${UPGRADE}`,
  ]) {
    const wire = await open(site, `${head}\r\n`);
    const [reply] = await wire.replies(1);
    assert.deepEqual([reply?.status, reply?.body], [200, "http"], head);
    wire.socket.destroy();
  }
});

test("createHttp1Front does not let an upgrade overtake the answers before it", async (t) => {
  const site = await start(t, () => assert.fail("Must not get here"));
  const wire = await open(site, `GET / HTTP/1.1\r\nHost: b\r\n\r\n${HANDSHAKE}`);
  const replies = await wire.replies(2);
  assert.deepEqual(
    replies.map((reply) => reply.body),
    ["http", "http"],
  );
  wire.socket.destroy();
});
