// One run of wrk against one server, and what it cost that server.

import { spawnSync } from "node:child_process";
import { cpuUsOf, type Server } from "./servers.ts";

export type Round = {
  readonly perSec: number;
  /** Of all processes of the server, in user and kernel mode. */
  readonly cpuUsPerRequest: number;
  readonly p99Ms: number;
  /** wrk's own share of one core, %: near 100 it is what is measured. */
  readonly loadPercent: number;
};

const MS = { us: 0.001, ms: 1, s: 1000, m: 60_000 };

/** Runs wrk for `secs`. Throws where a request failed: what answers wrongly is not fast. */
export function runWrk(server: Server, url: string, args: readonly string[], secs: number): Round {
  const before = cpuUsOf(server.pid);
  const startedAt = performance.now();
  const { stdout } = spawnSync(
    "sh",
    ["-c", 'wrk "$@"; times', "sh", ...args, `-d${secs}s`, "--latency", url],
    { encoding: "utf8" },
  );
  const elapsedMs = performance.now() - startedAt;
  const cpuUs = cpuUsOf(server.pid) - before;
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0);
  const [, value = "", unit = "ms"] = /99%\s+([\d.]+)(us|ms|s|m)\b/.exec(stdout) ?? [];
  const failures = /Socket errors: connect (\d+), read (\d+), write (\d+)/.exec(stdout) ?? [];
  const bad = Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0);
  const failed = failures.slice(1).reduce((sum, count) => sum + Number(count), bad);
  if (requests === 0 || failed > 0)
    throw new Error(`${server.name} ${url}: ${requests} requests, ${failed} failed\n${stdout}`);
  return {
    perSec: Math.round(Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1])),
    cpuUsPerRequest: round(cpuUs / requests, 2),
    p99Ms: round(Number(value) * MS[unit as keyof typeof MS], 2),
    loadPercent: Math.round((childMs(stdout) / elapsedMs) * 100),
  };
}

/** Of the shell's "times": its second line is about its children. */
function childMs(stdout: string): number {
  const last = stdout.trimEnd().split("\n").at(-1) ?? "";
  return [...last.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, secs]) => sum + Number(minutes) * 60_000 + Number(secs) * 1000,
    0,
  );
}

export function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

export function round(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}
