// What a result has to be read with: the machine, the versions, and how busy it was.

import { spawnSync } from "node:child_process";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";

export type Machine = {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  /** When the run began. Far above the number of cores others were at work, and figures are inflated. */
  readonly loadAverage: number;
  readonly kernel: string;
  readonly node: string;
  readonly nginx: string;
  readonly wrk: string;
  readonly commit: string;
};

/** Describes this machine as it is now. */
export function describeMachine(): Machine {
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    loadAverage: Math.round((loadavg()[0] ?? 0) * 10) / 10,
    kernel: release(),
    node: process.version,
    nginx: firstLine("nginx", ["-v"]).replace("nginx version: ", ""),
    wrk: /^wrk \S+/.exec(firstLine("wrk", ["-v"]))?.[0] ?? "",
    commit: firstLine("git", ["rev-parse", "--short", "HEAD"]),
  };
}

function firstLine(program: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  return `${stdout ?? ""}${stderr ?? ""}`.split("\n")[0] ?? "";
}
