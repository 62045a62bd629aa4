// What costs the requests that a worker had in hand, or those there was no descriptor for, and no others.

import { execFileSync, spawnSync } from "node:child_process";
import { countDescriptors, userOf } from "./processes.ts";
import { mustDo, pause, recovered, strike, type GameEvent, type World } from "./world.ts";

const SHORTAGE_MS = 3_000;
/** What was refused while there was none is noticed so much later. */
const SHORTAGE_ECHO_MS = 1_000;

export const DEADLY: readonly GameEvent[] = [
  deadly("kill -9", async (world) => {
    const [worker] = await world.server.serving();
    if (worker) await strike(world, worker.pid, "kill");
    await recovered(world);
  }),
  deadly("kill -STOP", async (world) => {
    const [worker] = await world.server.serving();
    if (worker) await strike(world, worker.pid, "stop");
    await recovered(world);
  }),
  {
    ...deadly("no descriptors", async (world) => {
      const [worker] = await world.server.serving();
      if (worker)
        await starve(world, worker.pid, countDescriptors(worker.pid), () => pause(SHORTAGE_MS));
      await recovered(world);
    }),
    missing: needsPrlimit,
  },
  deadly("kill -9 all", async (world) => {
    const all = await world.server.serving();
    await Promise.all(all.map(({ pid }) => strike(world, pid, "kill")));
    await recovered(world);
  }),
  deadly("kill -9 while reloading", async (world) => {
    const [worker] = await world.server.serving();
    const reload = world.server.command("reload");
    await pause(Math.random() * 500);
    if (worker) await strike(world, worker.pid, "kill");
    // Whether it came first or last: one way or the other there is an outcome.
    await reload;
    await recovered(world);
  }),
  deadly("kill -9 while draining", async (world) => {
    const { server } = world;
    await mustDo(world, "reload");
    const { workers } = await server.status();
    for (const { pid, state } of workers)
      if (state === "draining") await strike(world, pid, "kill");
    await recovered(world);
  }),
];

function deadly(name: string, run: (world: World) => Promise<void>): GameEvent {
  return { name, isDeadly: true, run };
}

/** Allows a process only so many descriptors. */
async function starve(
  world: World,
  pid: number,
  most: number,
  meanwhile: () => Promise<void>,
): Promise<void> {
  // As its own user: root without all its powers may not.
  const user = userOf(pid);
  const prlimit = (...more: readonly string[]): string =>
    execFileSync("prlimit", ["--pid", String(pid), ...more], user)
      .toString()
      .trim();
  const set = (soft: string): unknown => prlimit(`--nofile=${soft}:`);
  const before = prlimit("--nofile", "-o", "SOFT", "--noheadings");
  const shortage = { from: performance.now(), until: Infinity };
  world.shortages.push(shortage);
  set(String(most));
  try {
    await meanwhile();
  } finally {
    set(before);
    shortage.until = performance.now() + SHORTAGE_ECHO_MS;
  }
}

function needsPrlimit(): string | undefined {
  return spawnSync("prlimit", ["--version"]).status === 0 ? undefined : "prlimit is not installed";
}
