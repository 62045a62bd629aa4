// What a large configuration costs: time to start and memory with 1,000 vhosts of 10 mounts each against one vhost, and
// the CPU time of a request as vhosts and mounts grow in number.
// Usage: node loadtest/bench/config-scale.ts. Needs wrk. Writes loadtest/results/config-scale.json.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { availableParallelism, cpus, loadavg, release, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { cpuSecsOf, treeOf } from "./servers.ts";

const LAUNCHER = fileURLToPath(new URL("../../bin/portico.mjs", import.meta.url));
const RESULT = fileURLToPath(new URL("../results/config-scale.json", import.meta.url));
const WORKERS = 2;
const START_ROUNDS = 10;
const ROUNDS = 5;
/** A server is measured when it has been idle for so long: what it threw away while it started is collected by then. */
const SETTLE_MS = 10_000;
const KB = 1024;

type Size = { readonly vhosts: number; readonly mounts: number };
type Running = {
  readonly port: number;
  readonly startMs: number;
  readonly pids: readonly number[];
  stop(): Promise<void>;
};

const EMPTY: Size = { vhosts: 1, mounts: 1 };
const LARGE: Size = { vhosts: 1_000, mounts: 10 };
/** What else the machine did: on a busy one the times are those of a queue. */
const loadBefore = round(loadavg()[0] ?? 0);
const root = mkdtempSync(join(tmpdir(), "portico-scale-"));
try {
  const [emptyMs, largeMs]: [number[], number[]] = [[], []];
  for (let count = 0; count < START_ROUNDS; count += 1) {
    emptyMs.push(await measureStart(EMPTY));
    largeMs.push(await measureStart(LARGE));
  }
  const [emptyMb, largeMb] = [await measureMemory(EMPTY), await measureMemory(LARGE)];
  const result = {
    command: "node loadtest/bench/config-scale.ts",
    machine: describeMachine(),
    large: { vhosts: LARGE.vhosts, mountsEach: LARGE.mounts, workers: WORKERS },
    start: {
      of: "milliseconds from the command until both workers serve, each round; the best one counts, because the machine is shared",
      empty: emptyMs,
      large: largeMs,
      bestEmptyMs: Math.min(...emptyMs),
      bestLargeMs: Math.min(...largeMs),
      limitMs: 2_000,
    },
    memory: {
      of: "proportional set size of all processes when idle, MB, the median round",
      empty: emptyMb,
      large: largeMb,
      differenceMb: round(sum(largeMb) - sum(emptyMb)),
      limitMb: 100,
    },
    matching: {
      of: "CPU microseconds of the server for a redirect by the last mount of the last vhost, wrk -t1 -c16 -d2s, the median round",
      sizes: await measureMatching([
        EMPTY,
        { vhosts: 100, mounts: 1 },
        { vhosts: 1_000, mounts: 1 },
        { vhosts: 1, mounts: 10 },
        { vhosts: 1, mounts: 1_000 },
      ]),
    },
  };
  console.log(JSON.stringify(result, undefined, 2));
  writeFileSync(RESULT, `${JSON.stringify(result, undefined, 2)}\n`);
} finally {
  rmSync(root, { recursive: true, force: true });
}

async function measureStart(size: Size): Promise<number> {
  const server = await start(size, WORKERS);
  await server.stop();
  return server.startMs;
}

/** Supervisor, then workers: the round with the median sum. */
async function measureMemory(size: Size): Promise<readonly number[]> {
  const found: (readonly number[])[] = [];
  for (let count = 0; count < ROUNDS; count += 1) {
    const server = await start(size, WORKERS);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    found.push(server.pids.map(memoryMbOf));
    await server.stop();
  }
  return found.toSorted((x, y) => sum(x) - sum(y))[Math.floor(ROUNDS / 2)] ?? [];
}

function sum(list: readonly number[]): number {
  return list.reduce((total, one) => total + one, 0);
}

/** Interleaved, so that what else the machine does falls on all sizes alike. */
async function measureMatching(
  sizes: readonly Size[],
): Promise<(Size & { readonly cpuUsPerRequest: number })[]> {
  const servers = [];
  for (const size of sizes) servers.push({ size, server: await start(size, 1), found: [0] });
  for (let count = 0; count <= ROUNDS; count += 1)
    for (const { size, server, found } of servers) {
      const cost = costOfRequest(server, size);
      // The first round warms up.
      if (count > 0) found[count - 1] = cost;
    }
  for (const { server } of servers) await server.stop();
  return servers.map(({ size, found }) => ({ ...size, cpuUsPerRequest: median(found) }));
}

function costOfRequest({ port, pids }: Running, { vhosts, mounts }: Size): number {
  const cpuSecs = (): number => sum(pids.map(cpuSecsOf));
  const path = `${mountpoint(mounts - 1)}/page`.replace("//", "/");
  const host = `Host: ${name(vhosts - 1)}`;
  const before = cpuSecs();
  const args = ["-t1", "-c16", "-d2s", "-H", host, `http://127.0.0.1:${port}${path}`];
  const { stdout } = spawnSync("wrk", args, { encoding: "utf8" });
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  if (!(requests > 0) || /Non-2xx or 3xx|Socket errors/.test(stdout)) throw new Error(stdout);
  return round(((cpuSecs() - before) / requests) * 1e6);
}

/** Starts a server of this size and waits until it serves. */
async function start(size: Size, workers: number): Promise<Running> {
  const directory = mkdtempSync(join(root, "etc-"));
  const port = await freePort();
  mkdirSync(join(directory, "www"));
  writeFileSync(join(directory, "conf"), configuration(size, port, directory));
  const begun = performance.now();
  const child = spawn(
    process.execPath,
    ["--disable-sigusr1", LAUNCHER, "run", "-c", directory, "--workers", String(workers)],
    { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, FORCE_COLOR: "0" } },
  );
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    lines.push(line);
    if (line.includes('"event":"serving"')) break;
  }
  const startMs = Math.round(performance.now() - begun);
  child.stderr.resume();
  if (child.exitCode !== null) throw new Error(`The server did not start:\n${lines.join("\n")}`);
  return {
    port,
    startMs,
    pids: treeOf(child.pid ?? 0),
    async stop() {
      child.kill("SIGTERM");
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}

function configuration({ vhosts, mounts }: Size, port: number, directory: string): string {
  const list = Array.from({ length: vhosts }, (_, vhost) => ({
    name: name(vhost),
    port,
    interface: "127.0.0.1",
    headers: [{ "X-Frame-Options": "deny" }],
    mounts: Array.from({ length: mounts }, (__, mount) => ({
      mountpoint: mountpoint(mount),
      ...(mount === mounts - 1
        ? { origin: `>https://${name(vhost)}/` }
        : { origin: "file://./www", "cache-max-age": "60", "cache-reuse": "1" }),
    })),
  }));
  const global = { "pid-file": join(directory, "pid") };
  return JSON.stringify({ global, vhosts: list }, undefined, 1);
}

function name(vhost: number): string {
  return `host-${vhost}.example`;
}

function mountpoint(mount: number): string {
  return mount === 0 ? "/" : `/mount-${mount}`;
}

/** Pages that processes share count in parts (proc(5), smaps_rollup). */
function memoryMbOf(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
  return round(Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1]) / KB);
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  return port;
}

function median(list: readonly number[]): number {
  return list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? Number.NaN;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function describeMachine(): Record<string, unknown> {
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model,
    cores: availableParallelism(),
    loadBefore,
    kernel: release(),
    node: process.version,
    wrk: spawnSync("wrk", ["-v"], { encoding: "utf8" }).stdout.split("\n")[0],
    commit: execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim(),
  };
}
