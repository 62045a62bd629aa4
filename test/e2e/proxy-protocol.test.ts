// Clients behind proxies: the PROXY protocol before HTTP and before TLS, and X-Forwarded-For.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import test from "node:test";
import tls from "node:tls";
import { load } from "../config/fixture.ts";
import { certificateMaker } from "../helpers/certificates.ts";
import { startPortico, waitUntil } from "../helpers/server.ts";
import { WHO_PLUGIN, WHO_VHOST } from "../helpers/who-plugin.ts";
import { connect, exchangeBytes, parseReplies } from "../helpers/wire.ts";

const GET = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
const HEADER = "PROXY TCP4 198.51.100.7 192.0.2.1 56324 443\r\n";
const BINARY_UNKNOWN = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const files = { "plugins/who.mjs": WHO_PLUGIN };
const global = { "plugin-dir": "plugins" };
const REFUSALS = /^Refused a connection from 127\.0\.0\.1 on .*(?:PROXY header|proxy-protocol)/;

function bodyOf(received: string): string | undefined {
  return parseReplies(received).replies[0]?.body;
}

test("proxy-protocol: the client that the header names is the one that is seen and logged", async (t) => {
  const portico = await startPortico(t, {
    conf: { global, vhosts: [{ ...WHO_VHOST, "proxy-protocol": "127.0.0.1" }] },
    files,
    workers: 1,
    expect: [REFUSALS],
  });
  const port = portico.port();
  assert.equal(bodyOf(await exchangeBytes(port, HEADER + GET)), "198.51.100.7 56324 false");
  assert.match(bodyOf(await exchangeBytes(port, BINARY_UNKNOWN + GET)) ?? "", /^127\.0\.0\.1 \d+ /);
  const slow = await connect(port);
  for (const byte of HEADER + GET) {
    slow.write(byte);
    await new Promise(setImmediate);
  }
  assert.equal(bodyOf(await slow.rest()), "198.51.100.7 56324 false");
  // Without it there is no answer, and nothing of the request is logged.
  assert.equal(await exchangeBytes(port, GET), "");
  assert.equal(await exchangeBytes(port, `PROXY TCP4 1.1.1.1\r\n${GET}`), "");
  await portico.log(REFUSALS);
  const { counters } = await waitUntil("the refusals to be counted", async () => {
    const board = await portico.status();
    return board.counters.refusedProxy === 2 && board;
  });
  assert.equal(counters.clientsTooSlow, 0);
  await portico.stop();
  const clients = readFileSync(join(portico.directory, "access.log"), "latin1")
    .split("\n")
    .map((line) => line.split(" ")[0]);
  assert.deepEqual(clients, ["198.51.100.7", "127.0.0.1", "198.51.100.7", ""]);
});

test("proxy-protocol: who is not in the list is refused, and who sends nothing is cut in time", async (t) => {
  const portico = await startPortico(t, {
    conf: {
      global: { ...global, "timeout-secs": 1 },
      vhosts: [
        { ...WHO_VHOST, name: "closed", "proxy-protocol": ["192.0.2.0/24"] },
        { ...WHO_VHOST, name: "open", interface: "127.0.0.2", "proxy-protocol": ["127.0.0.0/8"] },
      ],
    },
    files,
    workers: 1,
    expect: [REFUSALS],
  });
  assert.equal(await exchangeBytes(portico.port("closed"), HEADER + GET), "");
  const silent = net.connect({ port: portico.port("open"), host: "127.0.0.2" });
  silent.on("error", () => {}).resume();
  silent.write("PROXY TCP4 ");
  await once(silent, "close");
});

test("proxy-protocol comes before TLS", async (t) => {
  const pair = certificateMaker(t)?.({ names: ["a.test"] });
  if (!pair) return;
  const portico = await startPortico(t, {
    conf: {
      global: { ...global, "init-ssl": "1" },
      vhosts: [
        {
          ...WHO_VHOST,
          "host-ssl-cert": "tls/crt",
          "host-ssl-key": "tls/key",
          "proxy-protocol": "127.0.0.1",
        },
      ],
    },
    files: { ...files, "tls/crt": pair.cert, "tls/key": pair.key },
    workers: 1,
  });
  // With the ClientHello in the same piece, and cut off from it.
  for (const isCut of [false, true]) {
    const raw = net.connect({ port: portico.port(), host: "127.0.0.1" });
    await once(raw, "connect");
    if (!isCut) raw.cork();
    raw.write(HEADER.slice(0, 20));
    if (isCut) await new Promise(setImmediate);
    raw.write(HEADER.slice(20));
    const secure = tls.connect({ socket: raw, servername: "a.test", rejectUnauthorized: false });
    if (!isCut) process.nextTick(() => raw.uncork());
    secure.write(GET);
    let received = "";
    for await (const chunk of secure) received += String(chunk);
    assert.equal(bodyOf(received), "198.51.100.7 56324 true");
  }
});

test("vhosts of one address have to agree about proxy-protocol", async (t) => {
  const vhost = { ...WHO_VHOST, port: 8080 };
  const { errors } = await load(t, {
    conf: JSON.stringify({
      vhosts: [
        { ...vhost, name: "a", "proxy-protocol": ["192.0.2.1", "192.0.2.2"] },
        { ...vhost, name: "b", "proxy-protocol": "192.0.2.2, 192.0.2.1" },
        { ...vhost, name: "c" },
      ],
    }),
  });
  assert.equal(errors.length, 1, errors.join("\n"));
  assert.match(errors[0] ?? "", /vhosts\[2\].*: Differs from the vhost at conf:1:/);
});

test("trusted-proxies: X-Forwarded-For from them is who is seen, from nobody else", async (t) => {
  const portico = await startPortico(t, {
    conf: {
      global: { ...global, "trusted-proxies": ["127.0.0.1"] },
      vhosts: [
        { ...WHO_VHOST, name: "behind" },
        { ...WHO_VHOST, name: "front", "trusted-proxies": [] },
      ],
    },
    files,
    workers: 1,
  });
  const forwarded = GET.replace(
    "\r\n\r\n",
    "\r\nX-Forwarded-For: 1.1.1.1, 198.51.100.7, 127.0.0.1\r\nX-Forwarded-Proto: https\r\n\r\n",
  );
  const ask = async (vhost: string): Promise<string | undefined> =>
    bodyOf(
      await exchangeBytes(portico.port(vhost), forwarded.replace("Host: h", `Host: ${vhost}`)),
    );
  assert.equal(await ask("behind"), "198.51.100.7 0 true");
  assert.match((await ask("front")) ?? "", /^127\.0\.0\.1 [1-9]\d* false$/);
});

test("trusted-proxies: a program hears of no port where only an address is known", async (t) => {
  const script =
    "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s' \"$REMOTE_ADDR ${REMOTE_PORT-none}\"\n";
  const portico = await startPortico(t, {
    conf: {
      global: { "trusted-proxies": ["127.0.0.1"] },
      vhosts: [
        {
          name: "h",
          port: 0,
          interface: "127.0.0.1",
          mounts: [{ mountpoint: "/", origin: "cgi://./who.cgi" }],
        },
      ],
    },
    files: { "who.cgi": script },
    workers: 1,
  });
  const headers = { "x-forwarded-for": "192.0.2.7" };
  assert.equal(await (await fetch(portico.url(), { headers })).text(), "192.0.2.7 none");
  assert.match(await (await fetch(portico.url())).text(), /^127\.0\.0\.1 [1-9]\d*$/);
});
