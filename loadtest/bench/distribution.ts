// How connections reach the workers: "shared" and "balanced" with two workers each, and a bare program that passes sockets by
// process.send. New connections and kept ones per second, CPU time of each, and how evenly 200 idle connections are spread.
// Usage: node loadtest/bench/distribution.ts. Needs wrk. Takes two minutes. Writes loadtest/results/distribution.json.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describeMachine } from "./machine.ts";
import { launchPortico, makeSite, watch, type Server } from "./servers.ts";
import { medianOf, round, runWrk, type Round } from "./wrk.ts";

const ROUNDS = 5;
const SECS = 2;
const WARM_UP_SECS = 1;
const WORKERS = 2;
const IDLE = 200;
/** Workers tell what they have once a second. */
const SETTLE_MS = 2_500;
const RESULT = fileURLToPath(new URL("../results/distribution.json", import.meta.url));
const LAUNCHER = fileURLToPath(new URL("../../bin/portico.mjs", import.meta.url));
const SEND_SERVER = fileURLToPath(new URL("send-server.ts", import.meta.url));

const WORKS = [
  { name: "1 KB file, a connection each", args: ["-t1", "-c32", "-H", "Connection: close"] },
  { name: "1 KB file, kept connections", args: ["-t1", "-c64"] },
] as const;

const machine = describeMachine();
const root = mkdtempSync(join(tmpdir(), "portico-bench-"));
makeSite(root);
const servers = new Map<string, Server>([
  ["shared", await startPortico("shared", 18_091)],
  ["balanced", await startPortico("balanced", 18_092)],
  ["process.send, bare", await startSender(18_093)],
]);
try {
  const rows = WORKS.map(({ name, args }) => measure(name, args));
  const spread: Record<string, number[]> = {};
  for (const mode of ["shared", "balanced"]) spread[mode] = await countIdle(mode);
  console.log(spread);
  const command = "node loadtest/bench/distribution.ts";
  const report = { command, machine, workers: WORKERS, rounds: ROUNDS, secs: SECS, rows, spread };
  writeFileSync(RESULT, `${JSON.stringify(report, undefined, 2)}\n`);
} finally {
  await Promise.all([...servers.values()].map((server) => server.stop()));
  rmSync(root, { recursive: true, force: true });
}

function startPortico(distribution: string, port: number): Promise<Server> {
  const vhost = {
    name: "localhost",
    port,
    interface: "127.0.0.1",
    "access-log": join(root, `${distribution}.log`),
    mounts: [{ mountpoint: "/", origin: `file://${join(root, "site")}` }],
  };
  const own = join(root, distribution);
  mkdirSync(own);
  return launchPortico(own, port, { global: { distribution }, vhosts: [vhost] }, WORKERS);
}

function startSender(port: number): Promise<Server> {
  const args = [SEND_SERVER, String(port), String(WORKERS)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  return watch("process.send", port, child);
}

/** The servers in turn, round after round: the median of requests per second, the least of CPU time, to which others only add. */
function measure(name: string, args: readonly string[]): Record<string, unknown> {
  const rounds = new Map<string, Round[]>();
  for (let turn = 0; turn <= ROUNDS; turn += 1)
    for (const [mode, server] of servers) {
      const url = `http://127.0.0.1:${server.port}/1k.html`;
      const measured = runWrk(server, url, args, turn === 0 ? WARM_UP_SECS : SECS);
      if (turn > 0) rounds.set(mode, [...(rounds.get(mode) ?? []), measured]);
    }
  const all = (mode: string, key: keyof Round): number[] =>
    (rounds.get(mode) ?? []).map((one) => one[key]);
  const perSec = (mode: string): number => medianOf(all(mode, "perSec"));
  const cpuUs = (mode: string): number => Math.min(...all(mode, "cpuUsPerRequest"));
  const contenders = [...servers.keys()].map((mode) => ({
    mode,
    perSec: perSec(mode),
    cpuUsPerRequest: cpuUs(mode),
    perSecondOfShared: round(perSec(mode) / perSec("shared"), 2),
    perCpuSecondOfShared: round(cpuUs("shared") / cpuUs(mode), 2),
    p99Ms: medianOf(all(mode, "p99Ms")),
  }));
  console.log(name);
  console.table(contenders);
  return { name, command: `wrk ${args.join(" ")}`, contenders };
}

/** How many of some idle connections each worker has. */
async function countIdle(mode: string): Promise<number[]> {
  const port = servers.get(mode)?.port ?? 0;
  const sockets = Array.from({ length: IDLE }, () => net.connect(port, "127.0.0.1"));
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const directory = join(root, mode, `portico-${WORKERS}`);
  const args = ["--disable-sigusr1", LAUNCHER, "status", "--json", "-c", directory];
  const board = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as {
    workers: { gauges: { openConnections: number } }[];
  };
  for (const socket of sockets) socket.destroy();
  return board.workers.map(({ gauges }) => gauges.openConnections);
}
