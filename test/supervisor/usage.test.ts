// CPU and memory of processes, as the meter tells them.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { createUsageMeter } from "../../supervisor/usage.ts";
import { waitUntil } from "../helpers/server.ts";

test("UsageMeter measures a process, and holds nothing of it soon after it has ended", async (t) => {
  const child = spawn("sleep", ["600"]);
  t.after(() => child.kill());
  const pid = child.pid ?? 0;
  const meter = createUsageMeter();
  await meter.refresh([pid]);
  assert.ok(meter.of(pid).memoryBytes > 0);

  child.kill("SIGKILL");
  await once(child, "exit");
  await meter.refresh([process.pid]);
  assert.deepEqual(meter.of(pid), { cpuPercent: 0, memoryBytes: 0 });
  if (process.platform !== "linux") return;
  // Nobody asks any more; what is kept runs out by itself.
  await waitUntil("its file to be closed", () => !openFiles().includes(`/proc/${pid}/stat`));
});

function openFiles(): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return [];
    }
  });
}
