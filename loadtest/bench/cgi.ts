// CGI requests a second against lighttpd in the same run, and how long one start blocks the event loop at 60 MB and at 1 GB: as an
// ordinary process, and as one that gets a processor as soon as it wants one (chrt(1), for root), which leaves out what others do meanwhile.
// Usage: node loadtest/bench/cgi.ts. Needs wrk, lighttpd and gcc. Writes loadtest/results/cgi.json.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { launchLighttpd, launchPortico, type Server } from "./servers.ts";

const ROUNDS = 5;
const WRK = ["-t1", "-c16", "-d3s", "--latency"];
const STARTS = 2_000;
/** Before the command of a process that goes before all ordinary ones. */
const REAL_TIME = ["chrt", "-f", "10"] as const;
const RESULT = fileURLToPath(new URL("../results/cgi.json", import.meta.url));
const SPAWN = new URL("../../posix/spawn.ts", import.meta.url).href;
const SPAWN_NODE = new URL("../../posix/spawn-node.ts", import.meta.url).href;

/** Static and small, so that it is the server that is measured. */
const PROGRAM = `#include <unistd.h>
int main(void) {
  static const char answer[] = "Content-Type: text/plain\\n\\nhello\\n";
  return write(1, answer, sizeof answer - 1) < 0;
}
`;

/**
 * Prints the median and the 99th percentile of what one start blocks, ms: by the clock, from the call until the child is there, how long
 * the loop was not waiting for events. Beside its own work that holds what it waited for, above all a processor that others had.
 * argv: module, function, program, ballast in MB, starts.
 */
const BLOCKED = `
const [, module, open, program, ballastMb, starts] = process.argv;
const starter = await (await import(module))[open]();
const ballast = Array.from({ length: Number(ballastMb) }, () => Buffer.alloc(1024 * 1024, 1));
const environment = new Map(Array.from({ length: 25 }, (_, at) => ["VARIABLE_" + at, "x".repeat(30)]));
const blocked = [];
const patience = setInterval(() => {}, 1000);
for (let count = 0; count < Number(starts) + 200; count += 1) {
  // What the loop did until the child was there; while a thread starts it, the loop is idle.
  const before = performance.eventLoopUtilization();
  const child = await starter.start({ program, args: [], environment, cwd: "/", stdin: "none" });
  blocked.push(performance.eventLoopUtilization(before).active);
  // As the server does it.
  if (await child.brief?.(1000)) continue;
  child.stdout.resume();
  child.stderr.resume();
  await child.exited;
}
clearInterval(patience);
const sorted = blocked.slice(200).toSorted((a, b) => a - b);
const at = (part) => Math.round(sorted[Math.floor(sorted.length * part)] * 1000) / 1000;
console.log(JSON.stringify({ by: starter.by, rssMb: Math.round(process.memoryUsage().rss / 1048576), medianMs: at(0.5), p99Ms: at(0.99), held: ballast.length }));
`;

type Round = {
  readonly perSec: number;
  readonly cpuUsPerRequest: number;
  readonly p99Ms: number;
  readonly errors: number;
};

const loadBefore = loadavg()[0];
const root = mkdtempSync(join(tmpdir(), "portico-bench-cgi-"));
mkdirSync(join(root, "site"));
const program = join(root, "site", "hello.cgi");
writeFileSync(join(root, "hello.c"), PROGRAM);
execFileSync("gcc", ["-O2", "-static", "-o", program, join(root, "hello.c")]);

const servers = [
  await launchPortico(root, 18_083, {
    vhosts: [
      {
        name: "localhost",
        port: 18_083,
        interface: "127.0.0.1",
        "access-log": join(root, "portico-access.log"),
        mounts: [{ mountpoint: "/hello.cgi", origin: `cgi://${program}` }],
      },
    ],
  }),
  await launchLighttpd(
    root,
    18_084,
    `server.modules = ("mod_accesslog", "mod_cgi")
server.document-root = "${join(root, "site")}"
accesslog.filename = "${join(root, "lighttpd-access.log")}"
server.max-keep-alive-requests = 1000000
cgi.assign = (".cgi" => "")`,
  ),
];
try {
  for (const server of servers) await checkAnswer(server);
  for (const server of servers) measure(server);
  const rounds = new Map<string, Round[]>(servers.map(({ name }) => [name, []]));
  for (let round = 0; round < ROUNDS; round += 1)
    for (const server of servers) rounds.get(server.name)?.push(measure(server));
  const medians = Object.fromEntries([...rounds].map(([name, list]) => [name, medianOf(list)]));
  const ratio = medianRatio(rounds, ({ perSec }) => perSec);
  const cpuRatio = medianRatio(rounds, ({ cpuUsPerRequest }) => cpuUsPerRequest);
  const starts = [
    blocked(SPAWN, "openSpawnStarter", 0, STARTS),
    blocked(SPAWN, "openSpawnStarter", 1024, STARTS),
    ...(mayBeRealTime()
      ? [
          blocked(SPAWN, "openSpawnStarter", 0, STARTS, REAL_TIME),
          blocked(SPAWN, "openSpawnStarter", 1024, STARTS, REAL_TIME),
        ]
      : []),
    blocked(SPAWN_NODE, "createNodeStarter", 0, STARTS / 4),
    blocked(SPAWN_NODE, "createNodeStarter", 1024, STARTS / 10),
  ];
  const command = `wrk ${WRK.join(" ")}`;
  const result = { command, rounds: ROUNDS, medians, ratio, cpuRatio, starts };
  console.log(JSON.stringify(result, undefined, 1));
  const text = { run: "node loadtest/bench/cgi.ts", machine: describeMachine(), ...result };
  writeFileSync(RESULT, `${JSON.stringify(text, undefined, 2)}\n`);
} finally {
  await Promise.all(servers.map((server) => server.stop()));
  rmSync(root, { recursive: true, force: true });
}

function blocked(
  module: string,
  open: string,
  ballastMb: number,
  starts: number,
  by: readonly string[] = [],
): object {
  const script = ["--input-type=module", "-e", BLOCKED, module, open, program];
  const numbers = [String(ballastMb), String(starts)];
  const [file = "", ...args] = [...by, process.execPath, ...script, ...numbers];
  const run = spawnSync(file, args, { encoding: "utf8" });
  if (run.status !== 0) throw new Error(run.stderr);
  const told = JSON.parse(run.stdout) as object;
  return { ...told, isRealTime: by.length > 0 };
}

function mayBeRealTime(): boolean {
  const [file, ...args] = REAL_TIME;
  return spawnSync(file, [...args, "true"]).status === 0;
}

async function checkAnswer(server: Server): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${server.port}/hello.cgi`);
  const text = await response.text();
  if (response.status !== 200 || text !== "hello\n")
    throw new Error(`${server.name} answers with ${response.status}: ${text}`);
}

function measure(server: Server): Round {
  const before = server.cpuSecs();
  const url = `http://127.0.0.1:${server.port}/hello.cgi`;
  const { stdout } = spawnSync("wrk", [...WRK, url], { encoding: "utf8" });
  const cpuSecs = server.cpuSecs() - before;
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  const [, value = "", unit = ""] = /99%\s+([\d.]+)(us|ms|s)/.exec(stdout) ?? [];
  const counts = /Socket errors: (.*)/.exec(stdout)?.[1] ?? "";
  const errors = [...counts.matchAll(/\d+/g)].reduce((sum, [count]) => sum + Number(count), 0);
  return {
    perSec: Math.round(Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1])),
    cpuUsPerRequest: Math.round((cpuSecs / requests) * 1e7) / 10,
    p99Ms: Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit as "us" | "ms" | "s"],
    errors: errors + Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0),
  };
}

/** The round with the median rate. */
function medianOf(rounds: readonly Round[]): Round | undefined {
  return rounds.toSorted((a, b) => a.perSec - b.perSec)[Math.floor(rounds.length / 2)];
}

/** Portico's value over that of lighttpd in the same round: what else the machine does meanwhile falls on both. */
function medianRatio(
  rounds: ReadonlyMap<string, readonly Round[]>,
  valueOf: (round: Round) => number,
): number {
  const theirs = rounds.get("lighttpd") ?? [];
  const ratios = (rounds.get("portico") ?? []).map((ours, index) => {
    const other = theirs[index];
    return other ? valueOf(ours) / valueOf(other) : 0;
  });
  const median = ratios.toSorted((a, b) => a - b)[Math.floor(ratios.length / 2)] ?? 0;
  return Math.round(median * 100) / 100;
}

function describeMachine(): Record<string, unknown> {
  const { stdout } = spawnSync("lighttpd", ["-v"], { encoding: "utf8" });
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model,
    cores: availableParallelism(),
    loadBefore,
    kernel: release(),
    node: process.version,
    lighttpd: stdout.split("\n")[0],
    commit: execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim(),
  };
}
