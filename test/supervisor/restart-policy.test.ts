import assert from "node:assert/strict";
import test from "node:test";
import { nextRestart } from "../../supervisor/restart-policy.ts";

test("nextRestart doubles from 50 ms to 5 s while workers die young", () => {
  const delays: number[] = [];
  let delay: number | undefined;
  for (let n = 0; n < 9; n += 1) delays.push((delay = nextRestart(delay, 100)));
  assert.deepEqual(delays, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
});

test("nextRestart starts over after a healthy minute", () => {
  assert.equal(nextRestart(5000, 60_000), 50);
  assert.equal(nextRestart(50, 59_999), 100);
});
