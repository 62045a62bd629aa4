// WebSockets: echo against a bare `ws` server, one message to ten thousand peers, what another worker adds, bytes of an idle connection.
// Usage: node loadtest/bench/websocket.ts. Writes loadtest/results/websocket.json. Clients run beside the server on this machine.

import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { watch, type Server } from "./servers.ts";
import type { Order, Report } from "./websocket-clients.ts";

const ROUNDS = 5;
const ECHO_SECS = 3;
const BROADCAST_SECS = 10;
const MIRROR_SECS = 10;
const PEERS = 10_000;
/** What a worker takes at a limit of 20,000 open files, of which a quarter is kept for other things. */
const IDLE = 14_000;
const RESULT = fileURLToPath(new URL("../results/websocket.json", import.meta.url));
const CLIENTS = fileURLToPath(new URL("websocket-clients.ts", import.meta.url));
const LAUNCHER = fileURLToPath(new URL("../../bin/portico.mjs", import.meta.url));
const WS = import.meta.resolve("ws");

const ECHO_PLUGIN = `export default {
  name: "echo",
  start: () => ({ message: (peer, message, isBinary) => void peer.send(isBinary ? message : message.toString()) }),
};`;
const BARE_SERVER = `import { WebSocketServer } from "${WS}";
const server = new WebSocketServer({ port: Number(process.argv[2]), host: "127.0.0.1", handleProtocols: () => "echo" });
server.on("connection", (socket) => socket.on("message", (message) => socket.send(message.toString())));`;

const run = promisify(execFile);

/** A server, and its configuration directory. */
type Started = Server & { readonly directory: string };

/** What is read of `portico status --json`. */
type Status = {
  readonly workers: readonly { readonly gauges: { readonly openWebSockets: number } }[];
};

const [loadAverage] = loadavg();
const root = mkdtempSync(join(tmpdir(), "portico-bench-"));
try {
  const results = {
    echo: await measureEcho(),
    broadcast: await measureBroadcast(),
    mirror: await measureMirror(),
    idle: await measureIdle(),
  };
  console.log(JSON.stringify(results, undefined, 2));
  const command = "node loadtest/bench/websocket.ts";
  const machine = {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model,
    cores: availableParallelism(),
    loadAverage,
    kernel: release(),
    node: process.version,
  };
  writeFileSync(RESULT, `${JSON.stringify({ command, machine, results }, undefined, 2)}\n`);
} finally {
  rmSync(root, { recursive: true, force: true });
}

/** Messages a second and server CPU for each, 64 connections with one message of 20 bytes under way on each. */
async function measureEcho(): Promise<unknown> {
  const servers = [await startPortico("echo", 18_091, 1), await startBare(18_092)];
  const rounds = new Map<string, { perSec: number; cpuUs: number }[]>();
  const order = { mode: "echo", protocol: "echo", connections: 64, messageBytes: 20 } as const;
  try {
    for (let round = -1; round < ROUNDS; round += 1)
      for (const server of servers) {
        const before = server.cpuSecs();
        const { messages, secs } = await runClients({
          ...order,
          port: server.port,
          seconds: ECHO_SECS,
        });
        const cpuUs = ((server.cpuSecs() - before) / messages) * 1e6;
        // The first one is warm-up.
        if (round >= 0)
          rounds.set(server.name, [
            ...(rounds.get(server.name) ?? []),
            { perSec: Math.round(messages / secs), cpuUs: Math.round(cpuUs * 100) / 100 },
          ]);
      }
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
  const medians = Object.fromEntries(
    [...rounds].map(([name, list]) => [
      name,
      list.toSorted((a, b) => a.perSec - b.perSec)[Math.floor(list.length / 2)],
    ]),
  );
  return { rounds: ROUNDS, connections: order.connections, bytes: order.messageBytes, medians };
}

/** One message of 100 bytes a second from one peer to all, over two workers. */
async function measureBroadcast(): Promise<unknown> {
  const server = await startPortico("lws-mirror-protocol", 18_091, 2);
  try {
    const before = server.cpuSecs();
    const report = await runClients({
      mode: "broadcast",
      port: server.port,
      protocol: "lws-mirror-protocol",
      connections: PEERS,
      seconds: BROADCAST_SECS,
      messageBytes: 100,
    });
    const cpuSecs = server.cpuSecs() - before;
    const expected = PEERS * BROADCAST_SECS;
    return { peers: PEERS, workers: 2, expected, ...report, cpuSecsWithHandshakes: cpuSecs };
  } finally {
    await server.stop();
  }
}

/** How much later a client of another worker hears what one has said than that one itself. */
async function measureMirror(): Promise<unknown> {
  const server = await startPortico("lws-mirror-protocol", 18_091, 2, "balanced");
  try {
    const order: Order = {
      mode: "mirror",
      port: server.port,
      protocol: "lws-mirror-protocol",
      connections: 2,
      seconds: MIRROR_SECS,
      messageBytes: 100,
    };
    let apart: Promise<void> | undefined;
    const report = await runClients(order, () => (apart = assertApart(server)));
    await apart;
    return { workers: 2, bytes: order.messageBytes, ...report };
  } finally {
    await server.stop();
  }
}

/** Each of two workers has one of the two WebSockets, as the server's statistics say within seconds. */
async function assertApart({ directory }: Started): Promise<void> {
  const args = [LAUNCHER, "status", "--json", "-c", directory];
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const { stdout } = await run(process.execPath, args);
    const { workers } = JSON.parse(stdout) as Status;
    if (workers.length === 2 && workers.every(({ gauges }) => gauges.openWebSockets === 1)) return;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  throw new Error("The two clients are not at two workers");
}

/** What an idle WebSocket adds to the memory of its server. */
async function measureIdle(): Promise<unknown> {
  const bytesEach: Record<string, number> = {};
  for (const start of [() => startPortico("echo", 18_091, 1), () => startBare(18_092)]) {
    const server = await start();
    try {
      const before = memoryOf(server);
      const order: Order = {
        mode: "idle",
        port: server.port,
        protocol: "echo",
        connections: IDLE,
        seconds: 5,
        messageBytes: 0,
      };
      let after = Number.NaN;
      await runClients(order, () => (after = memoryOf(server)));
      bytesEach[server.name] = Math.round((after - before) / IDLE);
    } finally {
      await server.stop();
    }
  }
  return { connections: IDLE, bytesEach };
}

async function startPortico(
  protocol: string,
  port: number,
  workers: number,
  distribution = "shared",
): Promise<Started> {
  const directory = mkdtempSync(join(root, "portico-"));
  mkdirSync(join(directory, "plugins"));
  writeFileSync(join(directory, "plugins/echo.mjs"), ECHO_PLUGIN);
  const vhost = {
    name: "localhost",
    port,
    interface: "127.0.0.1",
    mounts: [],
    "ws-protocols": { [protocol]: {} },
  };
  const global = { "pid-file": join(directory, "pid"), "plugin-dir": "plugins", distribution };
  writeFileSync(join(directory, "conf"), JSON.stringify({ global, vhosts: [vhost] }));
  const args = ["--disable-sigusr1", LAUNCHER, "run", "-c", directory, "--workers", `${workers}`];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, PORTICO_LOG_LEVEL: "error" },
  });
  return { ...(await watch("portico", port, child)), directory };
}

async function startBare(port: number): Promise<Server> {
  const file = join(root, "bare.mjs");
  writeFileSync(file, BARE_SERVER);
  const child = spawn(process.execPath, [file, String(port)], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  return watch("ws", port, child);
}

async function runClients(order: Order, onOpen?: () => void): Promise<Report> {
  const child = spawn(process.execPath, [CLIENTS, JSON.stringify(order)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let report: Report | undefined;
  for await (const line of createInterface(child.stdout)) {
    if (!report) onOpen?.();
    report = JSON.parse(line) as Report;
  }
  if (report?.opened !== order.connections) throw new Error("Not all connections could be opened");
  return report;
}

/** Resident bytes of all processes of a server. */
function memoryOf(server: Server): number {
  const pids = server.pids();
  const sizes = pids.map((pid) => {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
  });
  return sizes.reduce((sum, size) => sum + size, 0);
}
