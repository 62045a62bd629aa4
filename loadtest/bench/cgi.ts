// CGI requests a second against lighttpd in the same run, and how long one start blocks the event loop of a process that has little else in memory, and of one with 1 GB.
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
 * Prints what one start blocks, ms: a loop that is never idle counts how much longer than usual its turns take, from the call until
 * the child is there. So much later everybody else is served. Not by eventLoopUtilization(): what was idle before a signal comes,
 * as that of a child that ends, it takes for work.
 * argv: module, function, program, ballast in MB, starts.
 */
const BLOCKED = `
const [, module, open, program, ballastMb, starts] = process.argv;
const starter = await (await import(module))[open]();
const ballast = Array.from({ length: Number(ballastMb) }, () => Buffer.alloc(1024 * 1024, 1));
const environment = new Map(Array.from({ length: 25 }, (_, at) => ["VARIABLE_" + at, "x".repeat(30)]));
let turns = [];
let usualMs = 0;
let blockedMs = 0;
let longestMs = 0;
let last = performance.now();
function look() {
  const now = performance.now();
  const tookMs = now - last;
  last = now;
  turns?.push(tookMs);
  blockedMs += Math.max(0, tookMs - usualMs);
  longestMs = Math.max(longestMs, tookMs);
}
(function turn() {
  look();
  setImmediate(turn);
})();
// So long it only looks at what is usual.
await new Promise((resolve) => setTimeout(resolve, 500));
const at = (values, part) => Math.round(values.toSorted((a, b) => a - b)[Math.floor(values.length * part)] * 1000) / 1000;
usualMs = turns.toSorted((a, b) => a - b)[Math.floor(turns.length / 2)];
turns = undefined;
const blocked = [];
const longest = [];
for (let count = 0; count < Number(starts) + 200; count += 1) {
  look();
  blockedMs = longestMs = 0;
  const child = await starter.start({ program, args: [], environment, cwd: "/", stdin: "none" });
  look();
  blocked.push(blockedMs);
  longest.push(longestMs);
  // As the server does it.
  if (await child.brief?.(1000)) continue;
  child.stdout.resume();
  child.stderr.resume();
  await child.exited;
}
const rssMb = Math.round(process.memoryUsage().rss / 1048576);
const warm = blocked.slice(200);
console.log(JSON.stringify({ by: starter.by, rssMb, medianMs: at(warm, 0.5), p99Ms: at(warm, 0.99), longestMedianMs: at(longest.slice(200), 0.5), held: ballast.length }));
process.exit();
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

function blocked(module: string, open: string, ballastMb: number, starts: number): object {
  const script = ["--input-type=module", "-e", BLOCKED, module, open, program];
  const numbers = [String(ballastMb), String(starts)];
  const run = spawnSync(process.execPath, [...script, ...numbers], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(run.stderr);
  return JSON.parse(run.stdout) as object;
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
