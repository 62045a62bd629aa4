import assert from "node:assert/strict";
import { test } from "node:test";
import { releaseMemory } from "../../posix/memory.ts";

test("releaseMemory gives back what has become garbage", async () => {
  let ballast: object[] | undefined = Array.from({ length: 4_000_000 }, (_, index) => ({ index }));
  const held = process.memoryUsage().heapTotal;
  await releaseMemory();
  assert.ok(process.memoryUsage().heapUsed > ballast.length * 16, "what is in use stays");
  ballast = undefined;
  await releaseMemory();
  const left = process.memoryUsage().heapTotal;
  assert.ok(left < held / 2, `${held} bytes before, ${left} after`);
});
