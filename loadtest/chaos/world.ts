// What events act upon, and what they leave for the verdict.

import { setTimeout as pause } from "node:timers/promises";
import { clientPorts, processState } from "./processes.ts";
import { settle, type Server } from "./server.ts";
import type { Site } from "./site.ts";
import type { Kill, Shortage } from "./tally.ts";

export type World = {
  readonly server: Server;
  readonly site: Site;
  readonly workers: number;
  readonly kills: Kill[];
  readonly shortages: Shortage[];
  /** What is wrong, in words. */
  readonly problems: string[];
  /** Requests that events made themselves. */
  extraAnswers: number;
  /** How often each event came. */
  readonly counts: Record<string, number>;
};

export type GameEvent = {
  readonly name: string;
  /** Deadly ones may cost requests, and those only that the world can explain. */
  readonly isDeadly: boolean;
  /** Why it cannot be had here. */
  missing?(world: World): string | undefined;
  run(world: World): Promise<void>;
};

/** Kills a worker with -9, or leaves it stopped for the watchdog to find. */
export async function strike(world: World, pid: number, how: "kill" | "stop"): Promise<void> {
  // Held for a moment, so that the connections it has are known exactly.
  try {
    process.kill(pid, "SIGSTOP");
  } catch {
    return; // It has left by itself.
  }
  await settle(`${pid} to stop`, () => !"RSD".includes(processState(pid)?.state ?? "gone"));
  world.kills.push({ pid, at: performance.now(), ports: clientPorts(pid) });
  if (how === "stop") return;
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // The watchdog was first.
  }
}

/** Waits until as many workers serve as there should be, and none that was killed is left. */
export async function recovered({ server, workers, kills }: World): Promise<void> {
  let seen = "";
  await settle(
    `${workers} workers`,
    async () => {
      const serving = await server.serving();
      seen = JSON.stringify(serving);
      return (
        serving.length === workers &&
        serving.every(({ pid }) => !kills.some((kill) => kill.pid === pid))
      );
    },
    () => seen,
  );
}

/** Runs a command that has to succeed. */
export async function mustDo(world: World, ...words: readonly string[]): Promise<void> {
  const { code, output } = await world.server.command(...words);
  if (code !== 0) world.problems.push(`portico ${words.join(" ")} exits with ${code}: ${output}`);
}

export { pause };
