import assert from "node:assert/strict";
import test from "node:test";
import { createAttemptLimiter } from "../../../worker/access/attempt-limiter.ts";

function start(maxAddresses = 100) {
  let time = 1_000;
  const limiter = createAttemptLimiter({ burst: 3, refillMs: 2_000, maxAddresses }, () => time);
  const tryOften = (address: string, times: number): number[] =>
    Array.from({ length: times }, () => limiter.take(address));
  return { limiter, tryOften, pass: (ms: number) => void (time += ms) };
}

test("AttemptLimiter lets an address try so often, then once in so long", () => {
  const { tryOften, pass } = start();
  assert.deepEqual(tryOften("192.0.2.1", 5), [0, 0, 0, 2_000, 2_000]);
  pass(1_500);
  assert.deepEqual(tryOften("192.0.2.1", 1), [500]);
  pass(500);
  assert.deepEqual(tryOften("192.0.2.1", 2), [0, 2_000]);
  pass(60_000);
  assert.deepEqual(tryOften("192.0.2.1", 4), [0, 0, 0, 2_000]);
});

test("AttemptLimiter does not count what is given back", () => {
  const { limiter, tryOften } = start();
  for (let visit = 0; visit < 10; visit += 1) {
    assert.equal(limiter.take("192.0.2.1"), 0);
    limiter.giveBack("192.0.2.1");
  }
  assert.equal(limiter.size, 0);
  assert.deepEqual(tryOften("192.0.2.1", 4), [0, 0, 0, 2_000]);
  limiter.giveBack("192.0.2.1");
  assert.deepEqual(tryOften("192.0.2.1", 2), [0, 2_000]);
});

test("AttemptLimiter takes the addresses of one IPv6 customer for one", () => {
  const { tryOften } = start();
  assert.deepEqual(tryOften("2001:db8::1", 2), [0, 0]);
  assert.deepEqual(tryOften("2001:db8:0:0:ffff::", 2), [0, 2_000]);
  assert.deepEqual(tryOften("2001:db8:0:1::1", 1), [0]);
  assert.deepEqual(tryOften("::1", 3), [0, 0, 0]);
  assert.deepEqual(tryOften("::2", 1), [2_000]);
  assert.deepEqual(tryOften("unix:", 4), [0, 0, 0, 2_000]);
});

test("AttemptLimiter forgets whom it has not seen for longest", () => {
  const { limiter, tryOften } = start(2);
  tryOften("192.0.2.1", 3);
  tryOften("192.0.2.2", 3);
  assert.deepEqual(tryOften("192.0.2.1", 1), [2_000]);
  tryOften("192.0.2.3", 3);
  assert.equal(limiter.size, 2);
  assert.deepEqual(tryOften("192.0.2.1", 1), [2_000]);
  assert.deepEqual(tryOften("192.0.2.2", 1), [0]);
});
