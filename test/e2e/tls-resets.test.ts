// TLS clients that vanish at every moment: nothing of them stays, and a stop does not wait for them.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";
import tls from "node:tls";
import { certificateMaker } from "../helpers/certificates.ts";
import { startPortico, waitUntil } from "../helpers/server.ts";
import { tlsSite } from "./tls-site.ts";

const CLIENTS = 300;

/** Connects, asks, and resets after some turns of the event loop. */
async function askAndReset(port: number, turns: number): Promise<void> {
  const raw = net.connect({ port, host: "127.0.0.1", noDelay: true });
  raw.on("error", () => {});
  await once(raw, "connect");
  const socket = tls.connect({ socket: raw, servername: "a.test", rejectUnauthorized: false });
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  socket.write("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  for (let turn = 0; turn < turns; turn += 1)
    await new Promise((resolve) => setTimeout(resolve, 1));
  raw.resetAndDestroy();
}

test("TLS clients that reset while they are answered leave nothing behind", async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  // Nothing else would cut them within the patience of this test.
  const site = tlsSite([{ name: "a.test", pair: make({ names: ["a.test"] }) }], {
    "timeout-secs": 300,
  });
  const portico = await startPortico(t, { conf: site.conf, files: site.files, workers: 1 });
  const clients: Promise<void>[] = [];
  for (let count = 0; count < CLIENTS; count += 1) {
    clients.push(askAndReset(portico.port(), count % 5));
    // One at a time is answered sooner than many at once, and so is still being answered when it resets.
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  await Promise.all(clients);
  await waitUntil("no connection to be left", async () => {
    const { workers } = await portico.status();
    return workers.every(({ gauges }) => gauges.openConnections === 0);
  });
  assert.equal(await portico.stop(), 0);
});
