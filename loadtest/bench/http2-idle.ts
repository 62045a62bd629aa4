// Memory of HTTP/2 connections over TLS that wait: each has had one answer. What the server's processes take more than before.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import tls from "node:tls";
import type { Server } from "./servers.ts";

const AT_ONCE = 50;
const PATIENCE_MS = 4_000;
const WARM_ROUNDS = 4;
const END_STREAM = 0x1;

/** The preface, SETTINGS, then GET /1k.html of "localhost" on stream 1: indexed fields, and two literals. */
const OPENING = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.of(0, 0, 0, 4, 0, 0, 0, 0, 0),
  Buffer.of(0, 0, 23, 1, 5, 0, 0, 0, 1),
  Buffer.from("\x82\x87\x04\x08/1k.html\x01\x09localhost", "latin1"),
]);

/** Bytes for each of `count` connections. */
export async function measureHttp2Idle(server: Server, count: number): Promise<number> {
  // What the first of all cost, buffers and compiled code, is no price of one more.
  for (let warm = 0; warm < WARM_ROUNDS; warm += 1) {
    const first = await openMany(server.port, count / WARM_ROUNDS);
    for (const socket of first) socket.destroy();
  }
  await pause(PATIENCE_MS);
  const before = residentBytes(server);
  const sockets = await openMany(server.port, count);
  await pause(PATIENCE_MS);
  const after = residentBytes(server);
  const left = sockets.filter((socket) => !socket.destroyed && !socket.readableEnded).length;
  for (const socket of sockets) socket.destroy();
  if (left !== sockets.length)
    throw new Error(`${server.name} has closed ${sockets.length - left} of ${sockets.length}`);
  return Math.round((after - before) / count);
}

async function openMany(port: number, count: number): Promise<tls.TLSSocket[]> {
  const sockets: tls.TLSSocket[] = [];
  while (sockets.length < count)
    sockets.push(
      ...(await Promise.all(
        Array.from({ length: Math.min(AT_ONCE, count - sockets.length) }, () => openOne(port)),
      )),
    );
  return sockets;
}

async function openOne(port: number): Promise<tls.TLSSocket> {
  const socket = tls.connect({
    port,
    host: "127.0.0.1",
    servername: "localhost",
    ALPNProtocols: ["h2"],
    rejectUnauthorized: false,
  });
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  socket.write(OPENING);
  let bytes: Buffer = Buffer.alloc(0);
  while (!isAnswered(bytes)) {
    const [chunk] = (await once(socket, "data")) as [Buffer];
    bytes = Buffer.concat([bytes, chunk]);
  }
  return socket;
}

/** Whether the last DATA frame of stream 1 is among the frames. */
function isAnswered(bytes: Buffer): boolean {
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    const isWhole = at + 9 + bytes.readUIntBE(at, 3) <= bytes.length;
    if (isWhole && bytes[at + 3] === 0 && ((bytes[at + 4] ?? 0) & END_STREAM) !== 0) return true;
  }
  return false;
}

function residentBytes(server: Server): number {
  return server.pids().reduce((sum, pid) => {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return sum + Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  }, 0);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
