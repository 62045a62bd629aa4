import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { percentile } from "../../status/source/percentile.ts";

const BOUNDS = [100, 200, 400];

suite("percentile", () => {
  for (const { buckets, share, expected } of [
    { buckets: [10, 0, 0, 0], share: 0.5, expected: 50 },
    { buckets: [10, 0, 0, 0], share: 1, expected: 100 },
    { buckets: [0, 10, 0, 0], share: 0.5, expected: 150 },
    { buckets: [5, 5, 0, 0], share: 0.5, expected: 100 },
    { buckets: [5, 0, 5, 0], share: 0.75, expected: 300 },
    { buckets: [90, 0, 0, 10], share: 0.99, expected: 400 },
    { buckets: [0, 0, 0, 0], share: 0.5, expected: undefined },
    { buckets: [], share: 0.5, expected: undefined },
  ])
    test(`of ${JSON.stringify(buckets)} at ${share} is ${expected}`, () => {
      assert.equal(percentile(buckets, BOUNDS, share), expected);
    });

  test("grows with the share, lies in the bucket of the value, whatever the counts", () => {
    const counts = fc.array(fc.nat(1_000), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(counts, fc.double({ min: 0.01, max: 1, noNaN: true }), (buckets, share) => {
        const total = buckets.reduce((sum, count) => sum + count, 0);
        const found = percentile(buckets, BOUNDS, share);
        if (total === 0) return found === undefined;
        let below = 0;
        const bucket = buckets.findIndex((count) => (below += count) >= share * total - 1e-9);
        const floor = BOUNDS[bucket - 1] ?? 0;
        const ceiling = BOUNDS[bucket] ?? 400;
        const half = percentile(buckets, BOUNDS, share / 2) ?? 0;
        return found !== undefined && found >= floor && found <= ceiling && half <= found;
      }),
    );
  });
});
