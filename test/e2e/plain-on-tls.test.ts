// Plain HTTP on a port that speaks TLS: each vhost decides, and nobody is left hanging.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { certificateMaker } from "../helpers/certificates.ts";
import { startPortico, waitUntil } from "../helpers/server.ts";
import { connect, exchangeBytes, parseReplies, statusOf } from "../helpers/wire.ts";
import { askTls, tlsSite } from "./tls-site.ts";

async function startSite(t: TestContext) {
  const make = certificateMaker(t);
  if (!make) return undefined;
  const names = ["closed.test", "moved.test", "open.test"];
  const pair = make({ names });
  const keys: Readonly<Record<string, Record<string, unknown>>> = {
    "moved.test": { "redirect-http": "1", sts: "1" },
    "open.test": { "allow-http-on-https": "1", sts: "1" },
  };
  const site = tlsSite(
    names.map((name) => ({ name, pair, keys: keys[name] ?? {} })),
    { "timeout-secs": 2 },
  );
  return startPortico(t, { conf: site.conf, files: site.files, workers: 1 });
}

function get(host: string, target = "/", version = "1.1"): string {
  const field = host === "" ? "" : `Host: ${host}\r\n`;
  return `GET ${target} HTTP/${version}\r\n${field}Connection: close\r\n\r\n`;
}

test("plain HTTP on a TLS port is redirected, served or refused as the vhost says", async (t) => {
  const portico = await startSite(t);
  if (!portico) return;
  const port = portico.port();
  const answer = async (bytes: string) => {
    const [reply] = parseReplies(await exchangeBytes(port, bytes)).replies;
    assert.ok(reply, bytes);
    // RFC 6797 7.2: never in clear, whoever says it.
    assert.equal(reply.headers.get("strict-transport-security"), undefined, bytes);
    return reply;
  };
  const moved = await answer(get(`moved.test:${port}`, "/a%20b//c?d=e&f"));
  assert.equal(moved.status, 301);
  assert.equal(moved.headers.get("location"), `https://moved.test:${port}/a%20b//c?d=e&f`);
  const landed = await answer(get("MOVED.test"));
  assert.equal(landed.headers.get("location"), "https://MOVED.test/");

  const open = await answer(get("open.test"));
  assert.deepEqual([open.status, open.body], [200, "page of open.test"]);
  const program = await answer(get("open.test", "/env"));
  assert.match(program.body, /^SERVER_NAME=open\.test$/m);
  assert.doesNotMatch(program.body, /^(HTTPS|SSL_)/m);

  for (const bytes of [
    get("closed.test"),
    get("unknown.test"),
    get("", "/", "1.0"),
    get("moved.test\r\nHost: open.test"),
    get("moved.test/evil.test"),
    "GET / HTTP/1.1\r\n\r\n",
    "what is this\r\n\r\n",
  ])
    assert.equal((await answer(bytes)).status, 400, bytes);
  const socket = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  const key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
  const upgrade = `GET / HTTP/1.1\r\nHost: moved.test\r\n${socket}${key}\r\n`;
  assert.equal(statusOf(await exchangeBytes(port, upgrade)), 400);

  const secure = await askTls(port, { servername: "open.test", path: "/env" });
  const fields = secure.text.match(/^strict-transport-security: .*$/gim);
  assert.deepEqual(fields, ["Strict-Transport-Security: max-age=15768000; includeSubDomains"]);
});

test("what is neither TLS nor a request on a TLS port is ended in time, and costs nobody else anything", async (t) => {
  const portico = await startSite(t);
  if (!portico) return;
  const port = portico.port();
  const beginnings = [
    "",
    "G",
    "GET / HTTP/1.1\r\nHost: open.test\r\n",
    "\x16",
    "\x16\x03\x01\x02\x00\x01",
    "\x00",
    "\x80\x2e",
  ];
  const ends = beginnings.map(async (bytes) => {
    const wire = await connect(port);
    wire.write(bytes);
    return wire.rest();
  });
  assert.equal((await askTls(port, { servername: "open.test" })).status, 200);
  await Promise.all(ends);
  await waitUntil("all connections to be gone", async () => {
    const { workers } = await portico.status();
    return workers.every(({ gauges }) => gauges.openConnections === 0);
  });
});
