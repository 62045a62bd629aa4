// A whole Portico for a test: temp configuration, real processes, free ports. It is stopped with the test, and the test
// fails if the log held a warning that it did not expect.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { Board } from "../../ipc/board.ts";
import { runtimeDirectory } from "../../posix/runtime-directory.mjs";
import { askControl, type ControlAnswer, type ControlCommand } from "../../supervisor/control.ts";

const LAUNCHER = fileURLToPath(new URL("../../bin/portico.mjs", import.meta.url));
const WARN_LEVEL = 40;
/** Always there when tests run as root. */
const ALWAYS_EXPECTED = [/^Workers run as root/];
/** How often waitUntil looks again. */
const POLL_MS = 20;
/** Far beyond what anything here takes; only a hang gets there. */
const PATIENCE_MS = 30_000;

export type LogLine = {
  readonly level: number;
  readonly msg: string;
  readonly pid: number;
} & Record<string, unknown>;

export type PorticoOptions = {
  /** The file "conf": an object, or text as it is. "pid-file" is added to "global". */
  readonly conf: { global?: Record<string, unknown>; vhosts?: unknown } | string;
  /** More files by path relative to the configuration directory; ".sh" and ".cgi" become executable. */
  readonly files?: Readonly<Record<string, string | Buffer>>;
  readonly workers?: number;
  /** Warnings and errors this test provokes. */
  readonly expect?: readonly RegExp[];
  readonly env?: Readonly<Record<string, string>>;
  /** A program and its arguments that become the server, such as setpriv(1). */
  readonly through?: readonly string[];
  /** By default that of the test. */
  readonly stdout?: "pipe";
  /** Descriptors that the server has as 3, 4 and so on. */
  readonly inherits?: readonly number[];
  /** Called as soon as the process runs; startPortico waits for it before it waits for the server. */
  readonly early?: (child: ChildProcess, directory: string) => Promise<void>;
};

export type Portico = {
  readonly directory: string;
  readonly process: ChildProcess;
  readonly pid: number;
  readonly logs: readonly LogLine[];
  /** Port of a vhost, the first one by default. */
  port(vhost?: string): number;
  /** "http://127.0.0.1:PORT" of a vhost. */
  url(vhost?: string): string;
  writeConf(conf: PorticoOptions["conf"]): void;
  write(path: string, content: string | Buffer): void;
  control(command: ControlCommand, argument?: number): Promise<ControlAnswer>;
  status(): Promise<Board>;
  /** The first log line that matches, also one that came before. */
  log(pattern: RegExp): Promise<LogLine>;
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, then the exit status. */
  stop(): Promise<number | null>;
};

/** Starts Portico and waits until it serves. */
export async function startPortico(t: TestContext, options: PorticoOptions): Promise<Portico> {
  const root = mkdtempSync(join(tmpdir(), "portico-test-"));
  // Workers of another user have to get in.
  chmodSync(root, 0o755);
  const directory = join(root, "etc");
  const run = join(root, "run");
  const socket = (): string => join(run, globSync("*.sock", { cwd: run })[0] ?? "missing.sock");

  function write(path: string, content: string | Buffer): void {
    const full = join(directory, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, content);
    if (/\.(?:sh|cgi)$/.test(path)) chmodSync(full, 0o755);
  }
  function writeConf(conf: PorticoOptions["conf"]): void {
    if (typeof conf === "string") return write("conf", conf);
    const global = { "pid-file": join(run, "portico.pid"), ...conf.global };
    write("conf", JSON.stringify({ ...conf, global }, undefined, 1));
  }

  for (const [path, content] of Object.entries(options.files ?? {})) write(path, content);
  writeConf(options.conf);
  const workers = options.workers === undefined ? [] : ["--workers", String(options.workers)];
  const [program, ...args] = [...(options.through ?? []), process.execPath];
  const child = spawn(
    program,
    [...args, "--disable-sigusr1", LAUNCHER, "run", "-c", directory, ...workers],
    {
      stdio: ["ignore", options.stdout ?? "inherit", "pipe", ...(options.inherits ?? [])],
      env: {
        ...process.env,
        RUNTIME_DIRECTORY: run,
        // Shared by all tests, so that workers start sooner.
        NODE_COMPILE_CACHE: join(runtimeDirectory(), "compile-cache"),
        ...options.env,
      },
    },
  );
  const exited = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  const logs: LogLine[] = [];
  assert.ok(child.stderr);
  const lines = createInterface({ input: child.stderr });
  lines.on("line", (line) => logs.push(parseLine(line)));

  let board: Board | undefined;
  const portico: Portico = {
    directory,
    process: child,
    pid: child.pid ?? 0,
    logs,
    port: (vhost) => portOf(board, vhost),
    url: (vhost) => `http://127.0.0.1:${portOf(board, vhost)}`,
    writeConf,
    write,
    control: (command, argument) => askControl(socket(), command, argument),
    async status() {
      const answer = await askControl(socket(), "status");
      return answer.data as Board;
    },
    log: (pattern) =>
      waitUntil(
        `log line ${pattern}`,
        () => logs.find((line) => pattern.test(line.msg)),
        () => formatLogs(logs),
      ),
    signal: (signal) => void child.kill(signal),
    async stop() {
      child.kill("SIGTERM");
      const [code] = await exited;
      return code;
    },
  };
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
      await exited;
      clearTimeout(timer);
    }
    rmSync(root, { recursive: true, force: true, maxRetries: 3 });
    const expected = [...ALWAYS_EXPECTED, ...(options.expect ?? [])];
    const surprises = logs.filter(
      (line) => line.level >= WARN_LEVEL && !expected.some((pattern) => pattern.test(line.msg)),
    );
    assert.equal(formatLogs(surprises), "", "unexpected warnings in the log");
  });

  await options.early?.(child, directory);
  if (child.exitCode !== null) return portico;
  await Promise.race([
    portico.log(/^Portico \S+ serves/),
    exited.then(([code]) => assert.fail(`Portico exited with ${code}:\n${formatLogs(logs)}`)),
  ]);
  board = await waitUntil("control socket", () => portico.status().catch(() => undefined));
  return portico;
}

/** Waits for a condition that no event tells; fails with `explain` when it never holds. */
export async function waitUntil<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  explain: () => string = () => "",
): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) assert.fail(`Waited in vain for ${what}\n${explain()}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Runs the command line to its end. */
export async function runPortico(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, ["--disable-sigusr1", LAUNCHER, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...environment },
  });
  const exited = once(child, "close") as Promise<[number | null]>;
  const [stdout, stderr] = await Promise.all([collect(child.stdout), collect(child.stderr)]);
  const [code] = await exited;
  return { code, stdout, stderr };
}

async function collect(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function portOf(board: Board | undefined, name: string | undefined): number {
  assert.ok(board, "the server never served");
  const vhost =
    name === undefined
      ? board.vhosts[0]
      : board.vhosts.find((candidate) => candidate.name === name);
  assert.ok(vhost, `no vhost ${name}`);
  return vhost.port;
}

function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    // Whatever is no log line (a stack trace, a warning of Node's) must not pass unseen.
    return { level: WARN_LEVEL, msg: line, pid: 0 };
  }
}

function formatLogs(logs: readonly LogLine[]): string {
  return logs.map((line) => `${line.level} ${line.msg}`).join("\n");
}
