// The clock of connections: never early, never forgotten.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createWheel, Ringing } from "../../../worker/http/wheel.ts";

const TICK_MS = 5;

class Bell extends Ringing {
  readonly #onRing: (now: number) => number | undefined;

  constructor(onRing: (now: number) => number | undefined) {
    super();
    this.#onRing = onRing;
  }

  override ring(now: number): number | undefined {
    return this.#onRing(now);
  }
}

test("Wheel rings behind each deadline, also one many rounds away, and again where it moved", async (t) => {
  const wheel = createWheel<Ringing>(TICK_MS);
  t.after(() => wheel.stop());
  const keepsAlive = setInterval(() => {}, TICK_MS);
  t.after(() => clearInterval(keepsAlive));
  const startedAt = performance.now();
  await Promise.all(
    [0, 1, TICK_MS, 40, 3 * 64 * TICK_MS].map(
      (waitMs) =>
        new Promise<void>((resolve) => {
          const deadline = startedAt + waitMs;
          const item = new Bell((now) => {
            if (now < deadline) return deadline;
            resolve();
            return undefined;
          });
          wheel.add(item, deadline);
        }),
    ),
  );
  assert.ok(performance.now() - startedAt >= 3 * 64 * TICK_MS);
  assert.equal(wheel.size, 0);
});

test("Wheel forgets what is removed, and hastens what has less time", async (t) => {
  const wheel = createWheel<Ringing>(TICK_MS);
  t.after(() => wheel.stop());
  const keepsAlive = setInterval(() => {}, TICK_MS);
  t.after(() => clearInterval(keepsAlive));
  const removed = new Bell(() => assert.fail("It was removed"));
  wheel.add(removed, performance.now());
  await new Promise<void>((resolve) => {
    const hasty = new Bell(() => {
      resolve();
      return undefined;
    });
    wheel.add(hasty, performance.now() + 3_600_000);
    wheel.hasten(hasty, performance.now());
    wheel.remove(removed);
    assert.deepEqual(wheel.items(), [hasty]);
  });
  assert.equal(wheel.size, 0);
});

test("Wheel lets one that rings remove another that is due with it", async (t) => {
  const wheel = createWheel<Ringing>(TICK_MS);
  t.after(() => wheel.stop());
  const rung: string[] = [];
  await new Promise<void>((resolve) => {
    const keepsAlive = setInterval(() => {}, TICK_MS);
    t.after(() => clearInterval(keepsAlive));
    const deadline = performance.now();
    const bell = (name: string, others: () => readonly Bell[]): Bell =>
      new Bell(() => {
        rung.push(name);
        for (const other of others()) wheel.remove(other);
        if (name === "last") resolve();
        return undefined;
      });
    const last = bell("last", () => []);
    const second: Bell = bell("second", () => []);
    const first = bell("first", () => [second, first]);
    for (const item of [first, second, last]) wheel.add(item, deadline);
    assert.equal(wheel.size, 3);
  });
  assert.deepEqual(rung, ["first", "last"]);
  assert.equal(wheel.size, 0);
});
