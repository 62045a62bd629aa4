// The servers that a benchmark compares: each one worker, the same files, an access log, its own port on loopback.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  utimesSync,
} from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LONG_AGO_SECS, PAGES } from "./works.ts";

const LAUNCHER = fileURLToPath(new URL("../../bin/portico.mjs", import.meta.url));
const START_TRIES = 200;
const START_PAUSE_MS = 50;
const CLOCK_TICKS_PER_SEC = 100;
/** For wrk: all pages in turn. */
const PAGES_SCRIPT = `
local requests, last = {}, 0
function init()
  for page = 1, ${PAGES} do requests[page] = wrk.format("GET", "/page-" .. page - 1 .. ".html") end
end
function request()
  last = last % ${PAGES} + 1
  return requests[last]
end
`;

export type Server = {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  /** CPU seconds used so far by the whole process tree. */
  cpuSecs(): number;
  /** Its process and all below it. */
  pids(): number[];
  stop(): Promise<void>;
};

/** The files all servers serve, a CGI program, and what asks for all pages in turn. Returns the directory. */
export function makeSite(root: string): string {
  const site = join(root, "site");
  mkdirSync(site, { recursive: true });
  for (const [name, bytes] of [
    ["1k.html", 1024],
    ["100k.html", 100 * 1024],
    ["10m.html", 10 * 1024 * 1024],
    ...Array.from({ length: PAGES }, (_, index) => [`page-${index}.html`, 1024] as const),
  ] as const) {
    writeFileSync(join(site, name), Buffer.alloc(bytes, "x"));
    // As deployed long ago: a file that was written a moment ago is not kept in memory yet.
    utimesSync(join(site, name), LONG_AGO_SECS, LONG_AGO_SECS);
  }
  writeFileSync(join(root, "pages.lua"), PAGES_SCRIPT);
  writeFileSync(
    join(root, "hello.cgi"),
    "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello\\n'\n",
  );
  chmodSync(join(root, "hello.cgi"), 0o755);
  return site;
}

/** Portico from this checkout, with one worker unless it is told otherwise, and a configuration of one's own. */
export async function launchPortico(
  root: string,
  port: number,
  conf: {
    readonly global?: Readonly<Record<string, unknown>>;
    readonly vhosts: readonly unknown[];
  },
  workers = 1,
): Promise<Server> {
  const name = workers === 1 ? "portico" : `portico, ${workers} workers`;
  const directory = join(root, `portico-${workers}`);
  mkdirSync(directory, { recursive: true });
  const global = {
    "pid-file": join(root, `portico-${workers}.pid`),
    "max-requests": 0,
    ...conf.global,
  };
  writeFileSync(join(directory, "conf"), JSON.stringify({ ...conf, global }));
  const args = [
    "--disable-sigusr1",
    LAUNCHER,
    "run",
    "-c",
    directory,
    "--workers",
    String(workers),
  ];
  return watch(
    name,
    port,
    spawn(process.execPath, args, {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, PORTICO_LOG_LEVEL: "error" },
    }),
  );
}

/** nginx with one worker and an "http" block of one's own. */
export async function launchNginx(root: string, port: number, http: string): Promise<Server> {
  const conf = join(root, "nginx.conf");
  writeFileSync(
    conf,
    `daemon off; worker_processes 1; pid ${root}/nginx.pid; error_log ${root}/nginx-error.log;
user root;
worker_rlimit_nofile 20000;
events { worker_connections 16384; }
http { ${http} }
`,
  );
  return watch(
    "nginx",
    port,
    spawn("nginx", ["-c", conf, "-p", root], { stdio: ["ignore", "ignore", "inherit"] }),
  );
}

/** lighttpd, which has one process, with a configuration of one's own. */
export async function launchLighttpd(root: string, port: number, text: string): Promise<Server> {
  const conf = join(root, "lighttpd.conf");
  const log = join(root, "lighttpd-error.log");
  writeFileSync(
    conf,
    `server.bind = "127.0.0.1"\nserver.port = ${port}\nserver.errorlog = "${log}"\n${text}\n`,
  );
  const args = ["-D", "-f", conf];
  return watch(
    "lighttpd",
    port,
    spawn("lighttpd", args, { stdio: ["ignore", "ignore", "inherit"] }),
  );
}

/** A server whose process has been started; resolves when it answers. */
export async function watch(name: string, port: number, child: ChildProcess): Promise<Server> {
  await answering(port);
  return {
    name,
    pid: child.pid ?? 0,
    port,
    cpuSecs: () => treeOf(child.pid ?? 0).reduce((sum, pid) => sum + cpuSecsOf(pid), 0),
    pids: () => treeOf(child.pid ?? 0),
    async stop() {
      child.kill("SIGTERM");
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}

async function answering(port: number): Promise<void> {
  for (let attempt = 0; attempt < START_TRIES; attempt += 1) {
    const socket = net.connect(port, "127.0.0.1");
    const isUp = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (isUp) return;
    await new Promise((resolve) => setTimeout(resolve, START_PAUSE_MS));
  }
  throw new Error(`Nothing answers on port ${port}`);
}

/** A process and all below it. */
export function treeOf(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = readStat(Number(entry));
    if (stat) parents.set(Number(entry), Number(stat[1]));
  }
  const isIn = (candidate: number): boolean =>
    candidate === pid || (candidate > 1 && isIn(parents.get(candidate) ?? 0));
  return [...parents.keys()].filter(isIn);
}

/** User and system time, with that of children already waited for (proc(5), fields 14 to 17). */
export function cpuSecsOf(pid: number): number {
  const stat = readStat(pid);
  return stat
    ? stat.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / CLOCK_TICKS_PER_SEC
    : 0;
}

/** Microseconds on a processor of all threads of a process and those below it; finer than the ticks of /proc/PID/stat. */
export function cpuUsOf(pid: number): number {
  const tasks = treeOf(pid).flatMap((one) =>
    tasksOf(one).map((task) => `/proc/${one}/task/${task}/schedstat`),
  );
  const nanoseconds = tasks.map((path) => Number(readFileSync(path, "latin1").split(" ")[0]));
  return nanoseconds.reduce((sum, ns) => sum + ns, 0) / 1_000;
}

function tasksOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    // It ended meanwhile.
    return [];
  }
}

/** The fields behind the program's name, from "state" on. */
function readStat(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}
