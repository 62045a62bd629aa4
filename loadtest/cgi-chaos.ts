// 10,000 CGI requests while clients vanish and programs misbehave; at the end no program, no descriptor and no memory may be
// left behind. Usage: node loadtest/cgi-chaos.ts [requests]. Exits 1 when something is.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const LAUNCHER = fileURLToPath(new URL("../bin/portico.mjs", import.meta.url));
const CLIENTS = 24;
const MAX_GROWTH_BYTES = 64 * 1024 * 1024;
const CLIENT_MS = 6_000;
const SETTLE_TRIES = 200;
const SETTLE_PAUSE_MS = 100;

/** By query; the shell is the program. */
const PROGRAM = `#!/bin/sh
text() { printf 'Content-Type: text/plain\\n\\n'; }
case $QUERY_STRING in
  good) text; echo fine;;
  echo) text; exec cat;;
  silent) exec sleep 60;;
  stubborn) trap '' TERM; while :; do sleep 60; done;;
  forever) text; while :; do echo more; done;;
  half) printf 'Content-Length: 100\\n'; text; echo half;;
  dies) text; echo half; kill -SEGV $$;;
  nothing) exit 3;;
  forks) text; sleep 60 & echo forked;;
  closes) text; echo whole; exec >&- 2>&-; sleep 60;;
  flood) text; head -c 1000000 /dev/zero | tr '\\0' x >&2; echo flooded;;
esac
`;
const KINDS = PROGRAM.matchAll(/^  (\w+)\)/gm)
  .map((match) => match[1] ?? "")
  .toArray();

const total = Number(process.argv[2] ?? 10_000);
const root = mkdtempSync(join(tmpdir(), "portico-chaos-"));
const directory = join(root, "etc");
mkdirSync(directory);
writeFileSync(join(root, "program"), PROGRAM, { mode: 0o755 });
const port = await freePort();
writeFileSync(
  join(directory, "conf"),
  JSON.stringify({
    global: { "pid-file": join(root, "pid") },
    vhosts: [
      {
        name: "localhost",
        port,
        interface: "127.0.0.1",
        mounts: [
          { mountpoint: "/run", origin: `cgi://${join(root, "program")}`, "cgi-timeout": 1 },
        ],
      },
    ],
  }),
);
const server = spawn(
  process.execPath,
  ["--disable-sigusr1", LAUNCHER, "run", "-c", directory, "--workers", "1"],
  {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, PORTICO_LOG_LEVEL: "fatal", RUNTIME_DIRECTORY: root },
  },
);
let failed = false;
try {
  await settle("the server", async () => (await ask("good", "stay")).startsWith("HTTP/1.1 200"));
  const worker = childrenOf(server.pid ?? 0)[0] ?? 0;
  await load(Math.min(500, total));
  await settle("the first programs to end", () => childrenOf(worker).length === 0);
  const before = { descriptors: descriptors(worker), memory: memory(worker) };
  const startedAt = performance.now();
  const outcomes = await load(total);
  const secs = (performance.now() - startedAt) / 1000;
  await settle("all programs to end", () => childrenOf(worker).length === 0);
  await settle("all connections to close", () => descriptors(worker) <= before.descriptors);
  const after = { descriptors: descriptors(worker), memory: memory(worker) };
  const adopted = childrenOf(server.pid ?? 0).filter((pid) => pid !== worker);
  console.log({ requests: total, secs: Math.round(secs), outcomes, before, after, adopted });
  failed =
    adopted.length > 0 ||
    outcomes["closed"] !== undefined ||
    after.memory - before.memory > MAX_GROWTH_BYTES ||
    !(await ask("good", "stay")).includes("fine");
} catch (error) {
  console.error(error);
  failed = true;
} finally {
  server.kill("SIGTERM");
  await once(server, "exit");
  rmSync(root, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;

async function load(count: number): Promise<Record<string, number>> {
  const outcomes: Record<string, number> = {};
  let left = count;
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const how = Math.random() < 0.3 ? "vanish" : "stay";
      const kind = pick();
      const text = await ask(kind, how);
      const status = how === "vanish" ? "vanished" : text.slice(9, 12) || "closed";
      outcomes[status] = (outcomes[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return outcomes;
}

/** Most are good, or there would be nothing but waiting. */
function pick(): string {
  return Math.random() < 0.6 ? "good" : (KINDS[Math.floor(Math.random() * KINDS.length)] ?? "good");
}

async function ask(kind: string, how: "stay" | "vanish"): Promise<string> {
  const socket = net.connect(port, "127.0.0.1");
  let text = "";
  socket.on("error", () => {}); // Refused while it starts, or reset: an end too.
  socket.on("data", (chunk: Buffer) => {
    if (text.length < 1_000) text += chunk.toString("latin1");
  });
  const body = kind === "echo" ? "x".repeat(10_000) : "";
  socket.write(
    `POST /run?${kind} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  const patience = how === "vanish" ? Math.random() * 50 : CLIENT_MS;
  const timer = setTimeout(
    () => (Math.random() < 0.5 ? socket.destroy() : socket.resetAndDestroy()),
    patience,
  );
  await new Promise((resolve) => socket.once("close", resolve));
  clearTimeout(timer);
  return text;
}

async function settle(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < SETTLE_TRIES; tries += 1) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, SETTLE_PAUSE_MS));
  }
  throw new Error(`Waited in vain for ${what}`);
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1")
    .split(" ")
    .filter(Boolean)
    .map(Number);
}

function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function memory(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]) * 1024;
}

async function freePort(): Promise<number> {
  const probe = net.createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  return typeof address === "object" && address ? address.port : 0;
}
