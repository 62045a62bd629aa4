// Memory of connections that are kept open: each has had one answer and waits. What the process takes more than before, of all its
// memory; the kernel's own for a socket is in it for nobody.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import type { Server } from "./servers.ts";

const AT_ONCE = 100;
const PATIENCE_MS = 4_000;
const REQUEST = "GET /1k.html HTTP/1.1\r\nHost: localhost\r\n\r\n";

/** Bytes for each of `count` connections. */
export async function measureIdle(server: Server, count: number): Promise<number> {
  const sockets: net.Socket[] = [];
  // What the first of all cost, buffers and compiled code, is no price of one more.
  await openMany(server.port, sockets, AT_ONCE);
  for (let request = 0; request < 100; request += 1)
    await Promise.all(sockets.map((socket) => askOnce(socket)));
  await pause(PATIENCE_MS);
  const before = residentBytes(server);
  await openMany(server.port, sockets, count);
  await pause(PATIENCE_MS);
  const after = residentBytes(server);
  const open = sockets.filter((socket) => !socket.destroyed && !socket.readableEnded).length;
  for (const socket of sockets) socket.destroy();
  if (open !== sockets.length)
    throw new Error(`${server.name} has closed ${sockets.length - open} of ${sockets.length}`);
  return Math.round((after - before) / count);
}

async function openMany(port: number, sockets: net.Socket[], count: number): Promise<void> {
  for (let opened = 0; opened < count; opened += AT_ONCE)
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        const socket = net.connect(port, "127.0.0.1");
        socket.on("error", () => {});
        sockets.push(socket);
        await once(socket, "connect");
        await askOnce(socket);
      }),
    );
}

async function askOnce(socket: net.Socket): Promise<void> {
  let received = 0;
  let head = "";
  socket.write(REQUEST);
  while (received === 0 || received < head.indexOf("\r\n\r\n") + 4 + 1024) {
    const [chunk] = (await once(socket, "data")) as [Buffer];
    received += chunk.length;
    head += chunk.toString("latin1");
  }
}

/** Of the whole process tree (proc(5), VmRSS). */
function residentBytes(server: Server): number {
  return server.pids().reduce((sum, pid) => {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return sum + Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  }, 0);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
