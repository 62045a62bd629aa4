// The clock of connections: never early, never forgotten.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createWheel } from "../../../worker/http/wheel.ts";

const TICK_MS = 5;

test("Wheel rings behind each deadline, also one many rounds away, and again where it moved", async (t) => {
  const wheel = createWheel<{ ring(now: number): number | undefined }>(TICK_MS);
  t.after(() => wheel.stop());
  const keepsAlive = setInterval(() => {}, TICK_MS);
  t.after(() => clearInterval(keepsAlive));
  const startedAt = performance.now();
  await Promise.all(
    [0, 1, TICK_MS, 40, 3 * 64 * TICK_MS].map(
      (waitMs) =>
        new Promise<void>((resolve) => {
          const deadline = startedAt + waitMs;
          wheel.add(
            {
              ring(now) {
                if (now < deadline) return deadline;
                resolve();
                return undefined;
              },
            },
            deadline,
          );
        }),
    ),
  );
  assert.ok(performance.now() - startedAt >= 3 * 64 * TICK_MS);
  assert.equal(wheel.size, 0);
});

test("Wheel forgets what is removed, and hastens what has less time", async (t) => {
  const wheel = createWheel<{ ring(now: number): number | undefined }>(TICK_MS);
  t.after(() => wheel.stop());
  const keepsAlive = setInterval(() => {}, TICK_MS);
  t.after(() => clearInterval(keepsAlive));
  const removed = { ring: () => assert.fail("It was removed") };
  wheel.add(removed, performance.now());
  await new Promise<void>((resolve) => {
    const hasty = {
      ring() {
        resolve();
        return undefined;
      },
    };
    wheel.add(hasty, performance.now() + 3_600_000);
    wheel.hasten(hasty, performance.now());
    wheel.remove(removed);
    assert.deepEqual(wheel.items(), [hasty]);
  });
  assert.equal(wheel.size, 0);
});
