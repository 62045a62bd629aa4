// Requests a second of files of several sizes and of 304, new connections a second, CGI a second; one worker against one nginx worker.
// Usage: node loadtest/bench/first-numbers.ts. Needs wrk and nginx. Writes loadtest/results/first-numbers.json.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LONG_AGO_SECS, makeSite, startNginx, startPortico, type Server } from "./servers.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
const RESULT = fileURLToPath(new URL("../results/first-numbers.json", import.meta.url));

type Work = {
  readonly name: string;
  readonly path: string;
  readonly servers: readonly string[];
  readonly wrk: readonly string[];
};
type Round = {
  readonly perSec: number;
  readonly cpuUsPerRequest: number;
  readonly p99Ms: number;
  readonly errors: number;
};

const LONG_AGO = new Date(LONG_AGO_SECS * 1000).toUTCString();

const works: readonly Work[] = [
  {
    name: "1 KB file, kept connections",
    path: "/1k.html",
    servers: ["portico", "nginx"],
    wrk: ["-t1", "-c64", "-d3s"],
  },
  {
    name: "1 KB file, a connection each",
    path: "/1k.html",
    servers: ["portico", "nginx"],
    wrk: ["-t1", "-c64", "-d3s", "-H", "Connection: close"],
  },
  {
    name: "304",
    path: "/1k.html",
    servers: ["portico", "nginx"],
    wrk: ["-t1", "-c64", "-d3s", "-H", `If-Modified-Since: ${LONG_AGO}`],
  },
  {
    name: "100 KB file",
    path: "/100k.html",
    servers: ["portico", "nginx"],
    wrk: ["-t1", "-c64", "-d3s"],
  },
  {
    name: "10 MB file",
    path: "/10m.html",
    servers: ["portico", "nginx"],
    wrk: ["-t1", "-c16", "-d3s"],
  },
  { name: "CGI (sh)", path: "/cgi", servers: ["portico"], wrk: ["-t1", "-c16", "-d3s"] },
];

const root = mkdtempSync(join(tmpdir(), "portico-bench-"));
makeSite(root);
const servers = [await startPortico(root, 18_081), await startNginx(root, 18_082)];
try {
  const results = [];
  for (const work of works) {
    const contenders = servers.filter((server) => work.servers.includes(server.name));
    for (const server of contenders) await checkAnswer(server, work);
    for (const server of contenders) measure(server, work);
    const rounds = new Map<string, Round[]>(contenders.map((server) => [server.name, []]));
    for (let round = 0; round < ROUNDS; round += 1)
      for (const server of contenders) rounds.get(server.name)?.push(measure(server, work));
    const medians = Object.fromEntries([...rounds].map(([name, list]) => [name, medianOf(list)]));
    results.push({
      work: work.name,
      command: `wrk ${work.wrk.join(" ")}`,
      rounds: ROUNDS,
      medians,
    });
    console.log(work.name, medians);
  }
  writeFileSync(
    RESULT,
    `${JSON.stringify({ command: "node loadtest/bench/first-numbers.ts", machine: describeMachine(), results }, undefined, 2)}\n`,
  );
} finally {
  await Promise.all(servers.map((server) => server.stop()));
  rmSync(root, { recursive: true, force: true });
}

async function checkAnswer(server: Server, work: Work): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${server.port}${work.path}`);
  const body = await response.arrayBuffer();
  if (response.status !== 200 || body.byteLength === 0)
    throw new Error(`${server.name} answers ${work.path} with ${response.status}`);
}

function measure(server: Server, work: Work): Round {
  const before = server.cpuSecs();
  const run = spawnSync(
    "wrk",
    [...work.wrk, "--latency", `http://127.0.0.1:${server.port}${work.path}`],
    { encoding: "utf8" },
  );
  const cpuSecs = server.cpuSecs() - before;
  const requests = Number(/(\d+) requests in/.exec(run.stdout)?.[1]);
  const [, value = "", unit = ""] = /99%\s+([\d.]+)(us|ms|s)/.exec(run.stdout) ?? [];
  const errors = [...(/Socket errors: (.*)/.exec(run.stdout)?.[1] ?? "").matchAll(/\d+/g)].reduce(
    (sum, [count]) => sum + Number(count),
    0,
  );
  const failed = Number(/Non-2xx or 3xx responses: (\d+)/.exec(run.stdout)?.[1] ?? 0);
  return {
    perSec: Math.round(Number(/Requests\/sec:\s+([\d.]+)/.exec(run.stdout)?.[1])),
    cpuUsPerRequest: Math.round((cpuSecs / requests) * 1e7) / 10,
    p99Ms: Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit as "us" | "ms" | "s"],
    errors: errors + failed,
  };
}

/** The round with the median rate. */
function medianOf(rounds: readonly Round[]): Round | undefined {
  return rounds.toSorted((a, b) => a.perSec - b.perSec)[Math.floor(rounds.length / 2)];
}

function describeMachine(): Record<string, unknown> {
  const version = (program: string, args: readonly string[]): string => {
    const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
    return (stdout + stderr).split("\n")[0] ?? "";
  };
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model,
    cores: availableParallelism(),
    kernel: release(),
    node: process.version,
    nginx: version("nginx", ["-v"]),
    wrk: version("wrk", ["-v"]),
    commit: execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim(),
  };
}
