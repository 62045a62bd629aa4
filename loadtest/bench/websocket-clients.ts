// WebSocket clients for loadtest/bench/websocket.ts, in a process of their own: raw sockets that know just enough of RFC 6455.
// Usage: node websocket-clients.ts '{"mode": "echo", "port": 7681, …}'. Prints one JSON object when it is done.

import { once } from "node:events";
import net from "node:net";

export type Order = {
  readonly mode: "echo" | "broadcast" | "mirror" | "idle";
  readonly port: number;
  readonly protocol: string;
  readonly connections: number;
  readonly seconds: number;
  readonly messageBytes: number;
};

export type Report = {
  readonly opened: number;
  readonly messages: number;
  readonly secs: number;
  /** Milliseconds from sending to arrival, sorted; of one in a hundred deliveries. */
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** How much later a message came to the other client than back to its sender. */
  readonly addedP50Ms?: number;
  readonly addedP99Ms?: number;
};

const OPENING_AT_ONCE = 100;
/** Statistics come once a second. */
const LOOK_MS = 4_000;
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const HOST = "127.0.0.1";

const order = JSON.parse(process.argv[2] ?? "") as Order;
const sockets = await openAll(order);
const report = await { echo, broadcast, mirror, idle }[order.mode](order, sockets);
console.log(JSON.stringify(report));
process.exit();

async function openAll({ connections, port, protocol }: Order): Promise<net.Socket[]> {
  const open: net.Socket[] = [];
  for (let at = 0; at < connections; at += OPENING_AT_ONCE) {
    const lot = Math.min(OPENING_AT_ONCE, connections - at);
    open.push(...(await Promise.all(Array.from({ length: lot }, () => handshake(port, protocol)))));
  }
  return open;
}

async function handshake(port: number, protocol: string): Promise<net.Socket> {
  const socket = net.connect({ port, host: HOST, noDelay: true });
  await once(socket, "connect");
  socket.write(
    `GET / HTTP/1.1\r\nHost: ${HOST}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`,
  );
  const [head] = (await once(socket, "data")) as [Buffer];
  if (!head.toString("latin1").startsWith("HTTP/1.1 101 ")) throw new Error(head.toString());
  socket.on("error", (error) => {
    throw error;
  });
  return socket;
}

/** A masked text frame; the mask of zeros leaves the text as it is. */
function frame(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.of(0x81, 0x80 | bytes.length, 0, 0, 0, 0), bytes]);
}

/** Each connection has one message under way: what comes back is sent again. */
async function echo(wanted: Order, open: readonly net.Socket[]): Promise<Report> {
  const message = frame("x".repeat(wanted.messageBytes));
  const answerBytes = wanted.messageBytes + 2;
  let messages = 0;
  for (const socket of open) {
    let pending = 0;
    socket.on("data", (chunk) => {
      pending += chunk.length;
      if (pending < answerBytes) return;
      pending -= answerBytes;
      messages += 1;
      socket.write(message);
    });
    socket.write(message);
  }
  const startedAt = performance.now();
  await new Promise((resolve) => setTimeout(resolve, wanted.seconds * 1000));
  return { opened: open.length, messages, secs: (performance.now() - startedAt) / 1000 };
}

/** The first connection speaks once a second, everybody hears it; the time of sending stands in the message. */
async function broadcast(wanted: Order, open: readonly net.Socket[]): Promise<Report> {
  const delays: number[] = [];
  let messages = 0;
  for (const [index, socket] of open.entries())
    socket.on("data", (chunk) => {
      messages += 1;
      if (index % 100 === 0)
        delays.push(performance.now() - Number(chunk.toString("latin1", 2, 20)));
    });
  const [speaker] = open;
  for (let second = 0; second < wanted.seconds; second += 1) {
    const text = String(performance.now()).slice(0, 17).padEnd(18).padEnd(wanted.messageBytes, "x");
    speaker?.write(frame(text));
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  const p50Ms = quantile(delays, 0.5);
  const p99Ms = quantile(delays, 0.99);
  return { opened: open.length, messages, secs: wanted.seconds, p50Ms, p99Ms };
}

/** Two clients: what the first one says both hear, one message after the other, the next when both have heard this one. */
async function mirror(wanted: Order, open: readonly net.Socket[]): Promise<Report> {
  // The parent wants to see where they are.
  console.log(JSON.stringify({ opened: open.length, messages: 0, secs: 0 } satisfies Report));
  await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  const message = frame("x".repeat(wanted.messageBytes));
  const delays: number[] = [];
  const added: number[] = [];
  const [speaker, listener] = open;
  if (!speaker || !listener) throw new Error("Two connections are needed");
  const startedAt = performance.now();
  while (performance.now() - startedAt < wanted.seconds * 1000) {
    const heard = [speaker, listener].map(async (socket) => {
      for (let bytes = 0; bytes < wanted.messageBytes + 2;) {
        const [chunk] = (await once(socket, "data")) as [Buffer];
        bytes += chunk.length;
      }
      return performance.now();
    });
    const sentAt = performance.now();
    speaker.write(message);
    const [own = 0, other = 0] = await Promise.all(heard);
    delays.push(other - sentAt);
    added.push(other - own);
  }
  return {
    opened: open.length,
    messages: delays.length,
    secs: wanted.seconds,
    p50Ms: quantile(delays, 0.5),
    p99Ms: quantile(delays, 0.99),
    addedP50Ms: quantile(added, 0.5),
    addedP99Ms: quantile(added, 0.99),
  };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  return Math.round(value * 1000) / 1000;
}

/** Nothing happens; the parent looks at the server's memory once it has read the first line. */
async function idle(wanted: Order, open: readonly net.Socket[]): Promise<Report> {
  console.log(JSON.stringify({ opened: open.length, messages: 0, secs: 0 } satisfies Report));
  await new Promise((resolve) => setTimeout(resolve, wanted.seconds * 1000));
  return { opened: open.length, messages: 0, secs: wanted.seconds };
}
