// Clients that reset their connection before anybody looked at it: the kernel has forgotten their address by then.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";
import { connect } from "../helpers/wire.ts";

const CLIENTS = 20;
const vhost = {
  name: "localhost",
  port: 0,
  interface: "127.0.0.1",
  "access-log": "access.log",
  mounts: [{ mountpoint: "/", origin: "file://public" }],
};
const files = { "public/index.html": "x" };

/** Lines of the access log, once `last` is among them. */
async function logged(portico: Portico, last: string): Promise<string[]> {
  return await waitUntil(`"${last}" in the access log`, () => {
    const text = readFileSync(join(portico.directory, "access.log"), "latin1");
    return text.includes(last) && text.trimEnd().split("\n");
  });
}

test("a request of a client that has reset its connection does not pass for one of a unix socket", async (t) => {
  const portico = await startPortico(t, { conf: { vhosts: [vhost] }, files, workers: 1 });
  const [worker] = (await portico.status()).workers;
  assert.ok(worker);
  process.kill(worker.pid, "SIGSTOP");
  try {
    for (let client = 0; client < CLIENTS; client += 1) {
      const socket = net.connect(portico.port(), "127.0.0.1");
      await once(socket, "connect");
      await new Promise((resolve) =>
        socket.write("GET /left HTTP/1.1\r\nHost: localhost\r\n\r\n", resolve),
      );
      socket.resetAndDestroy();
    }
  } finally {
    process.kill(worker.pid, "SIGCONT");
  }
  const wire = await connect(portico.port());
  wire.write("GET /stays HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  await wire.rest();
  for (const line of await logged(portico, "/stays")) assert.match(line, /^127\.0\.0\.1 /);
  await waitUntil("connections closed", async () => {
    const [now] = (await portico.status()).workers;
    return now?.gauges.openConnections === 0 && now.gauges.activeRequests === 0;
  });
});
