// More connections than there is room for.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import test from "node:test";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";
import { connect, exchangeBytes, statusOf, type Wire } from "../helpers/wire.ts";

const GET = "GET /small HTTP/1.1\r\nHost: h\r\n\r\n";
const HALF = GET.slice(0, 20);
const LAST = GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
const vhost = {
  port: 0,
  interface: "127.0.0.1",
  mounts: [{ mountpoint: "/", origin: "file://public" }],
};
const files = { "public/small": "x" };
const FULL = [/^Full: closed idle connections/, /^Refused a connection/];

/** Connections that are kept after one answer. */
async function keep(portico: Portico, count: number): Promise<Wire[]> {
  const wires: Wire[] = [];
  for (let n = 0; n < count; n += 1) {
    const wire = await connect(portico.port());
    wire.write(GET);
    await wire.replies(1);
    wires.push(wire);
  }
  return wires;
}

test("max-connections: idle ones make room, the oldest first; where none is idle, 503", async (t) => {
  const portico = await startPortico(t, {
    conf: {
      global: { "max-connections": 20 },
      vhosts: [{ ...vhost, keepalive_timeout: 600 }],
    },
    files,
    workers: 1,
    expect: FULL,
  });
  const kept = await keep(portico, 20);
  const oldest = kept[0]?.socket;
  assert.ok(oldest);
  const closed = once(oldest, "end");
  assert.equal(statusOf(await exchangeBytes(portico.port(), LAST)), 200);
  await closed;
  assert.equal(kept.at(-1)?.socket.readableEnded, false);
  for (const { socket } of kept) socket.destroy();

  // Nobody can be asked to leave in the middle of a request.
  await waitUntil("them to be gone", async () => {
    const { workers } = await portico.status();
    return workers[0]?.gauges.openConnections === 0;
  });
  const busy = await Promise.all(Array.from({ length: 20 }, () => connect(portico.port())));
  for (const wire of busy) wire.write(HALF);
  const answer = await exchangeBytes(portico.port(), "");
  assert.equal(statusOf(answer), 503);
  assert.match(answer, /\r\nRetry-After: 5\r\n/);
  await portico.log(/^Refused a connection: 20 are open/);
  busy[0]?.write(GET.slice(20));
  assert.equal((await busy[0]?.replies(1))?.[0]?.status, 200);
  for (const { socket } of busy) socket.destroy();
  const { counters } = await waitUntil("the counts", async () => {
    const board = await portico.status();
    return board.counters.refusedFull > 0 && board;
  });
  assert.ok(counters.connectionsShed >= 1);
});

test("ip-limit-wsi: one address has so many connections, others are not concerned", async (t) => {
  const portico = await startPortico(t, {
    conf: {
      global: { "ip-limit-wsi": 2 },
      vhosts: [{ ...vhost, keepalive_timeout: 600, "proxy-protocol": "127.0.0.1" }],
    },
    files,
    workers: 1,
    expect: FULL,
  });
  const from = async (address: string): Promise<Wire> => {
    const wire = await connect(portico.port());
    wire.write(`PROXY TCP6 ${address} ::1 1 2\r\n${GET}`);
    return wire;
  };
  const first = await from("2001:db8::1");
  const second = await from("2001:db8::2");
  await Promise.all([first.replies(1), second.replies(1)]);
  assert.equal(await (await from("2001:db8::3")).rest(), "");
  const other = await from("2001:db8:0:1::1");
  await other.replies(1);
  second.socket.destroy();
  const again = await waitUntil("the place of one that left", async () => {
    const wire = await from("2001:db8::3");
    const reply = await wire.replies(1).catch(() => []);
    return reply.length === 1 && wire;
  });
  for (const { socket } of [first, other, again]) socket.destroy();
});

test(
  "rlimit-nofile is the limit of each worker",
  { skip: process.platform !== "linux" && "needs /proc" },
  async (t) => {
    const portico = await startPortico(t, {
      conf: { global: { "rlimit-nofile": 512 }, vhosts: [vhost] },
      files,
      workers: 1,
    });
    const { workers } = await portico.status();
    const limits = readFileSync(`/proc/${workers[0]?.pid}/limits`, "latin1");
    assert.match(limits, /^Max open files +512 +512 /m);
    assert.equal(statusOf(await exchangeBytes(portico.port(), LAST)), 200);
  },
);
