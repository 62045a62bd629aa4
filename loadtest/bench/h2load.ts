// One run of h2load against one server, and what it cost that server.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpuUsOf, type Server } from "./servers.ts";
import { round } from "./wrk.ts";

export type Http2Round = {
  readonly perSec: number;
  readonly megabytesPerSec: number;
  /** Of all processes of the server, also those that have ended meanwhile. */
  readonly cpuUsPerRequest: number;
  readonly meanMs: number;
  /** Resident memory of its processes at the end. */
  readonly memoryMb: number;
};

const MS = { us: 0.001, ms: 1, s: 1000 };
const MB = { B: 1e-6, KB: 0.001, MB: 1, GB: 1000 };

/** Throws where a request failed: what answers wrongly is not fast. */
export function runH2load(
  server: Server,
  url: string,
  args: readonly string[],
  startsPrograms: boolean,
): Http2Round {
  // The fine clock knows only threads that are there; programs that came and went are in the coarse one.
  const cpuUs = (): number => (startsPrograms ? server.cpuSecs() * 1e6 : cpuUsOf(server.pid));
  const before = cpuUs();
  const { stdout } = spawnSync("h2load", [...args, url], { encoding: "utf8" });
  const used = cpuUs() - before;
  const number = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? Number.NaN);
  const requests = number(/ (\d+) 2xx/);
  const failed = number(/(\d+) failed/) + number(/(\d+) errored/) + number(/(\d+) timeout/);
  if (!(requests > 0) || failed > 0 || !/Application protocol: h2$/m.test(stdout))
    throw new Error(
      `${server.name} ${url}: ${requests} requests, ${failed} failed\n${stdout.slice(0, 2_000)}`,
    );
  const [, seconds = "", timeUnit = "s", perSec = ""] =
    /finished in ([\d.]+)(us|ms|s), ([\d.]+) req\/s/.exec(stdout) ?? [];
  const [, bytes = "0"] = /traffic: .*?, [\d.]+\w+ \((\d+)\) data/.exec(stdout) ?? [];
  const [, mean = "", unit = "ms"] =
    /time for request:\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)/.exec(stdout) ?? [];
  const tookSecs = (Number(seconds) * MS[timeUnit as keyof typeof MS]) / 1000;
  return {
    perSec: round(Number(perSec), 1),
    megabytesPerSec: round((Number(bytes) * MB.B) / tookSecs, 1),
    cpuUsPerRequest: round(used / requests, 2),
    meanMs: round(Number(mean) * MS[unit as keyof typeof MS], 2),
    memoryMb: Math.round(server.pids().reduce((sum, pid) => sum + residentMb(pid), 0)),
  };
}

function residentMb(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024;
  } catch {
    // It ended meanwhile.
    return 0;
  }
}
