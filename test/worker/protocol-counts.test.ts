import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { MAX_PROTOCOL_COUNTERS } from "../../ipc/stats.ts";
import { createCounters } from "../../worker/counters.ts";
import { createCount } from "../../worker/protocol-counts.ts";

suite("A counter of a protocol's own", () => {
  test("adds one, or as much as it is told, for each vhost apart", () => {
    const counters = createCounters();
    const count = createCount(counters.protocol("a:80/chat"));
    const other = createCount(counters.protocol("b:80/chat"));
    count("lines");
    count("lines", 2.5);
    count("constructor");
    count("none", 0);
    other("lines");
    const told = [...counters.protocols()].map(([scope, counts]) => [scope, { ...counts }]);
    assert.deepEqual(told, [
      ["a:80/chat", { lines: 3.5, constructor: 1, none: 0 }],
      ["b:80/chat", { lines: 1 }],
    ]);
  });

  for (const name of ["", "Lines", "two words", "__proto__", "9lives", "x".repeat(64), "läufe"])
    test(`is not called ${JSON.stringify(name)}`, () => {
      assert.throws(() => createCount(createCounters().protocol("a:80/chat"))(name), RangeError);
    });

  for (const by of [-1, NaN, Infinity, 2 ** 60])
    test(`does not grow by ${by}`, () => {
      const counts = createCounters().protocol("a:80/chat");
      assert.throws(() => createCount(counts)("lines", by), RangeError);
      assert.deepEqual(Object.keys(counts), []);
    });

  test("is one of 32 at most, which go on when there are no more", () => {
    const counts = createCounters().protocol("a:80/chat");
    const count = createCount(counts);
    for (let index = 0; index < MAX_PROTOCOL_COUNTERS; index += 1) count(`c${index}`);
    assert.throws(() => count("one_more"), RangeError);
    count("c0");
    assert.equal(counts["c0"], 2);
    assert.equal(Object.keys(counts).length, 32);
  });
});
