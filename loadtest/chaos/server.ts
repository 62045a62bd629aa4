// The server under test: started and commanded by its command line only. Where root may, its logs are on a small disk of its own.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Classes } from "./tally.ts";

const LAUNCHER = fileURLToPath(new URL("../../bin/portico.mjs", import.meta.url));
const LOG_DISK_BYTES = 96 * 2 ** 20;
const WARN_LEVEL = 40;
/** Only a hang takes so long; a machine with much else to do takes its time. */
const SETTLE_MS = 120_000;
const SETTLE_PAUSE_MS = 100;
const STOP_MS = 60_000;

export type LogLine = { readonly level: number; readonly msg: string; readonly pid: number };

/** What is read of `portico status --json`. */
export type Status = {
  readonly generation: number;
  readonly restarts: number;
  readonly samplesLost: number;
  readonly generations: readonly { readonly number: number; readonly state: string }[];
  readonly workers: readonly {
    readonly id: number;
    readonly pid: number;
    readonly generation: number;
    readonly state: string;
  }[];
  readonly totals: Readonly<Record<string, number | readonly number[]>>;
  readonly counters: Readonly<Record<string, number>>;
};

export type Outcome = { readonly code: number | null; readonly output: string };

export type Server = {
  readonly pid: number;
  /** Where its files can be seen from here. */
  path(inside: string): string;
  /** Its logs are on a disk that can be filled. */
  readonly hasLogDisk: boolean;
  /** Warnings and errors. */
  readonly complaints: LogLine[];
  command(...args: readonly string[]): Promise<Outcome>;
  status(): Promise<Status>;
  serving(): Promise<Status["workers"]>;
  /** SIGTERM, then the exit status; null where it had to be killed. */
  stop(): Promise<number | null>;
};

/** Starts it with so many workers, and waits until it serves. */
export async function launch(root: string, logs: string, workers: number): Promise<Server> {
  const hasLogDisk = process.getuid?.() === 0 && spawnSync("unshare", ["-m", "true"]).status === 0;
  const environment = { ...process.env, RUNTIME_DIRECTORY: root };
  const directory = join(root, "etc");
  const portico = [process.execPath, "--disable-sigusr1", LAUNCHER];
  const run = [...portico, "run", "-c", directory, "--workers", String(workers)];
  const mount = `mount -t tmpfs -o size=${LOG_DISK_BYTES},mode=755 none "$0" && exec "$@"`;
  const inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, logs];
  const [program = "", ...args] = hasLogDisk ? [...inside, ...run] : run;
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"], env: environment });
  const pid = child.pid ?? 0;
  const complaints: LogLine[] = [];
  let serves = false;
  if (!child.stderr) throw new Error("No log");
  createInterface({ input: child.stderr }).on("line", (text) => {
    const line = parse(text);
    serves ||= line.msg.includes(" serves ");
    if (line.level >= WARN_LEVEL) complaints.push(line);
  });

  async function command(...words: readonly string[]): Promise<Outcome> {
    const [name = "", ...more] = words;
    const one = spawn(process.execPath, [LAUNCHER, name, "-c", directory, ...more], {
      stdio: ["ignore", "pipe", "pipe"],
      env: environment,
    });
    let output = "";
    for (const stream of [one.stdout, one.stderr])
      stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const [code] = (await once(one, "close")) as [number | null];
    return { code, output };
  }
  async function status(): Promise<Status> {
    const { code, output } = await command("status", "--json");
    if (code !== 0) throw new Error(`portico status: ${output}`);
    return JSON.parse(output) as Status;
  }

  try {
    await settle("the server to serve", () => {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`It ended: ${complaints.map(({ msg }) => msg).join("\n")}`);
      return serves;
    });
  } catch (error) {
    await end(child);
    throw error;
  }
  return {
    pid,
    hasLogDisk,
    complaints,
    path: (path) => (hasLogDisk ? join(`/proc/${pid}/root`, path) : path),
    command,
    status,
    async serving() {
      return (await status()).workers.filter(({ state }) => state === "serving");
    },
    stop: () => end(child),
  };
}

async function end(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const exited = once(child, "exit") as Promise<[number | null]>;
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  const [code] = await exited;
  clearTimeout(timer);
  return code;
}

/** Waits until it holds; an error where it never does. */
export async function settle(
  what: string,
  holds: () => boolean | Promise<boolean>,
  explain: () => string = () => "",
): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`Waited in vain for ${what} ${explain()}`);
    await pause(SETTLE_PAUSE_MS);
  }
}

/** By the first digit of the status. */
export function classesOf({ totals }: Status): Classes {
  return [1, 2, 3, 4, 5].map((digit) => Number(totals[`status${digit}xx`])) as Classes;
}

function parse(text: string): LogLine {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    // A stack trace, a warning of Node's.
    return { level: WARN_LEVEL, msg: text, pid: 0 };
  }
}
