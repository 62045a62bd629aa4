// HTTP/2 over TLS by h2load: one worker against one nginx worker and, for small files, node:http2; rounds in turn, answers checked.
// Usage: node loadtest/bench/http2.ts. Needs h2load, nginx, curl and openssl. Writes loadtest/results/http2.json.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cpuSecsOf, treeOf } from "./servers.ts";

const ROUNDS = 5;
const RESULT = fileURLToPath(new URL("../results/http2.json", import.meta.url));
const LAUNCHER = fileURLToPath(new URL("../../bin/portico.mjs", import.meta.url));
const START_TRIES = 200;
const START_PAUSE_MS = 50;
const MEGABYTE = 2 ** 20;

type Work = {
  readonly name: string;
  readonly path: string;
  /** Of the answer to GET. */
  readonly bytes: number;
  readonly h2load: readonly string[];
  readonly servers: readonly string[];
};

type Running = {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
};

type Round = {
  readonly perSec: number;
  readonly megabytesPerSec: number;
  readonly cpuUsPerRequest: number;
  readonly meanMs: number;
  readonly memoryMb: number;
  readonly errors: number;
};

const root = mkdtempSync(join(tmpdir(), "portico-bench-h2-"));
const upload = join(root, "upload.bin");

const works: readonly Work[] = [
  {
    name: "1 KB file, 16 connections of 16 streams",
    path: "/1k.html",
    bytes: 1_024,
    h2load: ["-n200000", "-c16", "-m16"],
    servers: ["portico", "nginx", "node:http2"],
  },
  {
    name: "1 KB file, 64 connections of 1 stream",
    path: "/1k.html",
    bytes: 1_024,
    h2load: ["-n100000", "-c64", "-m1"],
    servers: ["portico", "nginx", "node:http2"],
  },
  {
    name: "100 KB file, 16 connections of 16 streams",
    path: "/100k.bin",
    bytes: 102_400,
    h2load: ["-n10000", "-c16", "-m16"],
    servers: ["portico", "nginx"],
  },
  {
    name: "100 MB file, once",
    path: "/100m.bin",
    bytes: 100 * MEGABYTE,
    h2load: ["-n1", "-c1", "-m1", "-w30", "-W30"],
    servers: ["portico", "nginx"],
  },
  {
    name: "100 uploads of 10 MB, 10 at a time",
    path: "/count",
    bytes: 0,
    h2load: ["-n100", "-c2", "-m5", "-d", upload],
    servers: ["portico", "node:http2"],
  },
];

const servers: Running[] = [];
try {
  makeSite();
  servers.push(await startPortico(19_443), await startNginx(19_444), await startNode(19_445));
  const results = [];
  for (const work of works) {
    const contenders = servers.filter(({ name }) => work.servers.includes(name));
    for (const server of contenders) checkAnswer(server, work);
    for (const server of contenders) measure(server, work);
    const rounds = new Map(contenders.map(({ name }) => [name, [] as Round[]]));
    for (let round = 0; round < ROUNDS; round += 1)
      for (const server of contenders) rounds.get(server.name)?.push(measure(server, work));
    const medians = Object.fromEntries([...rounds].map(([name, list]) => [name, medianOf(list)]));
    const command = `h2load ${work.h2load.join(" ").replace(upload, "10-MB-file")}`;
    results.push({ work: work.name, command, rounds: ROUNDS, medians });
    console.log(work.name, medians);
  }
  writeFileSync(
    RESULT,
    `${JSON.stringify({ command: "node loadtest/bench/http2.ts", machine: describeMachine(), results }, undefined, 2)}\n`,
  );
} finally {
  await Promise.all(servers.map((server) => server.stop()));
  rmSync(root, { recursive: true, force: true });
}

function makeSite(): void {
  const site = join(root, "site");
  mkdirSync(site, { recursive: true });
  writeFileSync(join(site, "1k.html"), Buffer.alloc(1_024, "x"));
  writeFileSync(join(site, "100k.bin"), Buffer.alloc(102_400, "x"));
  writeFileSync(join(site, "100m.bin"), Buffer.alloc(100 * MEGABYTE, "x"));
  writeFileSync(upload, Buffer.alloc(10 * MEGABYTE, "x"));
  const program = join(root, "count.cgi");
  writeFileSync(program, "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nexec wc -c\n");
  chmodSync(program, 0o755);
  const request = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 2 -keyout ${root}/key -out ${root}/crt`;
  execFileSync("openssl", request.split(" "), { stdio: "ignore" });
}

function startPortico(port: number): Promise<Running> {
  const directory = join(root, "portico");
  mkdirSync(directory, { recursive: true });
  const vhost = {
    name: "localhost",
    port,
    interface: "127.0.0.1",
    keepalive_timeout: 60,
    "host-ssl-cert": join(root, "crt"),
    "host-ssl-key": join(root, "key"),
    "access-log": join(root, "portico-access.log"),
    mounts: [
      { mountpoint: "/", origin: `file://${join(root, "site")}` },
      { mountpoint: "/count", origin: `cgi://${join(root, "count.cgi")}`, "max-body-bytes": 0 },
    ],
  };
  // As nginx below: connections are not ended after so many requests.
  const global = { "pid-file": join(root, "portico.pid"), "init-ssl": "1", "max-requests": 0 };
  writeFileSync(join(directory, "conf"), JSON.stringify({ global, vhosts: [vhost] }));
  const args = ["--disable-sigusr1", LAUNCHER, "run", "-c", directory, "--workers", "1"];
  return watch("portico", port, process.execPath, args);
}

function startNginx(port: number): Promise<Running> {
  const conf = join(root, "nginx.conf");
  writeFileSync(
    conf,
    `daemon off; worker_processes 1; pid ${root}/nginx.pid; error_log ${root}/nginx-error.log;
user root;
events { worker_connections 4096; }
http { access_log ${root}/nginx-access.log combined; keepalive_requests 1000000000; keepalive_timeout 60; sendfile on; tcp_nopush on;
  open_file_cache max=1000; types { text/html html; }
  ssl_certificate ${root}/crt; ssl_certificate_key ${root}/key; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:a:10m;
  server { listen 127.0.0.1:${port} ssl http2 backlog=4096; root ${root}/site; } }
`,
  );
  return watch("nginx", port, "nginx", ["-c", conf, "-p", root]);
}

/** node:http2 by its stream API with the file in memory and a log line for each request. */
function startNode(port: number): Promise<Running> {
  const program = join(root, "node-http2.mjs");
  writeFileSync(
    program,
    `import { createWriteStream, readFileSync } from "node:fs";
import http2 from "node:http2";
const body = readFileSync("${root}/site/1k.html");
const log = createWriteStream("${root}/node-access.log");
let lines = "";
setInterval(() => { log.write(lines); lines = ""; }, 100);
const server = http2.createSecureServer({ key: readFileSync("${root}/key"), cert: readFileSync("${root}/crt") });
server.on("stream", (stream, fields) => {
  stream.on("error", () => {});
  lines += \`127.0.0.1 - - "\${fields[":method"]} \${fields[":path"]} HTTP/2.0" 200 \${body.length}\\n\`;
  if (fields[":method"] === "GET") {
    stream.respond({ ":status": 200, "content-type": "text/html", "content-length": body.length });
    return stream.end(body);
  }
  let bytes = 0;
  stream.on("data", (chunk) => (bytes += chunk.length));
  stream.on("end", () => { stream.respond({ ":status": 200 }); stream.end(String(bytes)); });
});
server.listen(${port}, "127.0.0.1");
`,
  );
  return watch("node:http2", port, process.execPath, [program]);
}

async function watch(
  name: string,
  port: number,
  program: string,
  args: readonly string[],
): Promise<Running> {
  const child = spawn(program, args, {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, PORTICO_LOG_LEVEL: "error" },
  });
  const running = {
    name,
    port,
    pid: child.pid ?? 0,
    async stop() {
      child.kill("SIGTERM");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
  for (let attempt = 0; attempt < START_TRIES; attempt += 1) {
    if (fetchBytes(port, "/1k.html") === 1_024) return running;
    await new Promise((resolve) => setTimeout(resolve, START_PAUSE_MS));
  }
  await running.stop();
  throw new Error(`${name} does not answer on port ${port}`);
}

/** Length of the body, -1 for anything but 200 over HTTP/2. */
function fetchBytes(port: number, path: string, ...more: readonly string[]): number {
  const format = "%{http_version} %{http_code} %{size_download}";
  const url = `https://127.0.0.1:${port}${path}`;
  const args = ["-sk", "--http2", "-o", "/dev/null", "-w", format, ...more, url];
  const [version, status, bytes] = spawnSync("curl", args, { encoding: "utf8" }).stdout.split(" ");
  return version === "2" && status === "200" ? Number(bytes) : -1;
}

function checkAnswer({ name, port }: Running, { path, bytes }: Work): void {
  const isUpload = bytes === 0;
  const got = fetchBytes(port, path, ...(isUpload ? ["--data-binary", `@${upload}`] : []));
  const isRight = isUpload ? got > 0 : got === bytes;
  if (!isRight) throw new Error(`${name} answers ${path} with ${got} bytes`);
}

function measure(server: Running, work: Work): Round {
  const pids = treeOf(server.pid);
  const before = cpuSecs(server.pid);
  const url = `https://127.0.0.1:${server.port}${work.path}`;
  const { stdout } = spawnSync("h2load", [...work.h2load, url], { encoding: "utf8" });
  const used = cpuSecs(server.pid) - before;
  const number = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? Number.NaN);
  const succeeded = number(/(\d+) succeeded/);
  const [, rate = "0", unit = "MB"] = /req\/s, ([\d.]+)(KB|MB|GB)\/s/.exec(stdout) ?? [];
  const [, mean = "0", meanUnit = "ms"] =
    /time for request:\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)/.exec(stdout) ?? [];
  return {
    perSec: Math.round(number(/, ([\d.]+) req\/s/)),
    megabytesPerSec: Number(rate) * ({ KB: 0.001, MB: 1, GB: 1_000 }[unit] ?? Number.NaN),
    cpuUsPerRequest: Math.round((used / succeeded) * 1e7) / 10,
    meanMs: Number(mean) * ({ us: 0.001, ms: 1, s: 1_000 }[meanUnit] ?? Number.NaN),
    memoryMb: Math.round(pids.reduce((sum, pid) => sum + residentKb(pid), 0) / 1_024),
    errors: number(/(\d+) failed/) + number(/(\d+) errored/) + number(/(\d+) timeout/),
  };
}

function cpuSecs(pid: number): number {
  return treeOf(pid).reduce((sum, one) => sum + cpuSecsOf(one), 0);
}

function residentKb(pid: number): number {
  const { stdout } = spawnSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" });
  return Number(stdout) || 0;
}

/** The round with the median rate. */
function medianOf(rounds: readonly Round[]): Round | undefined {
  return rounds.toSorted((a, b) => a.perSec - b.perSec || a.megabytesPerSec - b.megabytesPerSec)[
    Math.floor(rounds.length / 2)
  ];
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
    h2load: version("h2load", ["--version"]),
    commit: execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim(),
  };
}
