// Eight kinds of clients that take their time, in clear and over TLS: each is cut, with 408 where it can be said.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, truncateSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import test from "node:test";
import tls from "node:tls";
import { certificateMaker } from "../helpers/certificates.ts";
import { READS_PLUGIN } from "../helpers/reads-plugin.ts";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";
import { statusOf } from "../helpers/wire.ts";

const BIG_BYTES = 50_000_000;
/** How often a client that drips writes, ms. */
const DRIP_MS = 100;
const POST = "POST /reads HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
const KEPT = "GET /small HTTP/1.1\r\nHost: h\r\n\r\n";

type Slow = {
  readonly name: string;
  readonly sends: string;
  /** Goes on with this, piece by piece. */
  readonly drips?: string;
  readonly reads?: false;
  /** What it gets; 0 for nothing at all. */
  readonly status: number;
};

const SLOW: readonly Slow[] = [
  { name: "sends nothing", sends: "", status: 0 },
  { name: "half a request line", sends: "GET /sm", status: 408 },
  { name: "a header byte now and then", sends: "GET / HTTP/1.1\r\nA: ", drips: "x", status: 408 },
  {
    name: "a header line now and then",
    sends: "GET / HTTP/1.1\r\n",
    drips: "A: b\r\n",
    status: 408,
  },
  { name: "a body that does not come", sends: POST, status: 408 },
  { name: "a body by the byte", sends: POST, drips: "x", status: 408 },
  { name: "keeps its connection", sends: KEPT, status: 200 },
  { name: "does not read", sends: KEPT.replace("small", "big"), reads: false, status: -1 },
];

async function openClient(port: number, isSecure: boolean): Promise<net.Socket> {
  const options = { port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true };
  if (!isSecure) {
    const socket = net.connect(options);
    await once(socket, "connect");
    return socket;
  }
  const socket = tls.connect({ ...options, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  return socket;
}

/** What the client got until the server was done with it. */
async function suffer(slow: Slow, port: number, isSecure: boolean): Promise<string> {
  const socket = await openClient(port, isSecure);
  let received = "";
  const over = new Promise<void>((resolve) => {
    for (const event of ["end", "close", "error"]) socket.on(event, () => resolve());
  });
  if (slow.reads === false) socket.pause();
  else socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
  socket.write(slow.sends);
  const { drips } = slow;
  const timer = drips === undefined ? undefined : setInterval(() => socket.write(drips), DRIP_MS);
  // Who does not read does not learn that it is over: for that one the server is asked.
  if (slow.reads !== false) await over;
  clearInterval(timer);
  if (slow.reads !== false) socket.destroy();
  return received;
}

async function allGone(portico: Portico): Promise<void> {
  await waitUntil("all connections to be closed", async () => {
    const { workers } = await portico.status();
    return workers.every(({ gauges }) => gauges.openConnections === 0);
  });
}

for (const isSecure of [false, true])
  test(`eight slow clients are cut, ${isSecure ? "over TLS" : "in clear"}`, async (t) => {
    const pair = isSecure ? certificateMaker(t)?.({ names: ["h"] }) : undefined;
    if (isSecure && !pair) return;
    const portico = await startPortico(t, {
      conf: {
        global: {
          "plugin-dir": "plugins",
          "timeout-secs": 2,
          "send-secs": 2,
          ...(pair && { "init-ssl": "1" }),
        },
        vhosts: [
          {
            name: "h",
            port: 0,
            interface: "127.0.0.1",
            keepalive_timeout: 2,
            "access-log": "access.log",
            mounts: [
              { mountpoint: "/", origin: "file://public" },
              { mountpoint: "/reads", origin: "callback://reads" },
            ],
            "ws-protocols": [{ reads: {} }],
            ...(pair && { "host-ssl-cert": "tls/crt", "host-ssl-key": "tls/key" }),
          },
        ],
      },
      files: {
        "public/small": "x",
        "public/big": "",
        "plugins/reads.mjs": READS_PLUGIN,
        "tls/crt": pair?.cert ?? "",
        "tls/key": pair?.key ?? "",
      },
      workers: 2,
    });
    truncateSync(join(portico.directory, "public/big"), BIG_BYTES);
    const received = await Promise.all(SLOW.map((slow) => suffer(slow, portico.port(), isSecure)));
    for (const [index, { name, status }] of SLOW.entries())
      if (status >= 0) assert.equal(statusOf(received[index] ?? ""), status, name);
    await waitUntil("them to be counted", async () => {
      const { counters, totals } = await portico.status();
      return counters.clientsTooSlow >= 6 && totals.aborted === 1;
    });
    await allGone(portico);
    await portico.stop();
    const lines = readFileSync(join(portico.directory, "access.log"), "latin1").split("\n");
    assert.equal(lines.filter((line) => / 408 \d+ /.test(line)).length, 5);
    assert.equal(lines.length - 1, 7);
  });

test("a client that does not go on with its TLS handshake is cut", async (t) => {
  const pair = certificateMaker(t)?.({ names: ["h"] });
  if (!pair) return;
  const portico = await startPortico(t, {
    conf: {
      global: { "init-ssl": "1", "timeout-secs": 1 },
      vhosts: [
        {
          name: "h",
          port: 0,
          interface: "127.0.0.1",
          "host-ssl-cert": "tls/crt",
          "host-ssl-key": "tls/key",
        },
      ],
    },
    files: { "tls/crt": pair.cert, "tls/key": pair.key },
    workers: 1,
  });
  for (const sends of ["", "\x16", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]) {
    const socket = net.connect({ port: portico.port(), host: "127.0.0.1" });
    socket.on("error", () => {}).resume();
    socket.write(sends, "latin1");
    await once(socket, "close");
  }
});
