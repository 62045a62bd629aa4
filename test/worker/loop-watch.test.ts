import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { watchLoop } from "../../worker/loop-watch.ts";

function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

test("watchLoop tells how busy the loop was and how late, and of an idle one as well", async (t) => {
  const watch = watchLoop(10);
  t.after(() => watch.stop());
  block(300);
  await pause(1);
  const busy = watch.take();
  assert.ok(busy.utilization > 0 && busy.utilization <= 1, String(busy.utilization));
  assert.ok(busy.lagMs >= 250, String(busy.lagMs));

  // Twice, so that it is known to be idle; signals make nothing busy.
  const ignore = (): void => {};
  process.on("SIGCHLD", ignore);
  t.after(() => process.off("SIGCHLD", ignore));
  for (let round = 0; round < 2; round += 1) {
    await promisify(execFile)("sleep", ["0.5"]);
    await pause(100);
    const idle = watch.take();
    assert.ok(idle.utilization < 0.5, String(idle.utilization));
  }

  block(300);
  const late = watch.take();
  assert.ok(late.lagMs >= 250, String(late.lagMs));
});
