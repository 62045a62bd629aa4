import assert from "node:assert/strict";
import { test } from "node:test";
import { createByteCache } from "../../worker/byte-cache.ts";

test("createByteCache lets go of what was used longest ago, and counts entries without bytes too", () => {
  const cache = createByteCache<{ readonly name: string }>(10_000);
  cache.set("a", { name: "a" }, 4_000);
  cache.set("b", { name: "b" }, 4_000);
  assert.equal(cache.get("a")?.name, "a");
  cache.set("c", { name: "c" }, 4_000);
  assert.deepEqual(
    [cache.get("a")?.name, cache.get("b"), cache.get("c")?.name],
    ["a", undefined, "c"],
  );
  cache.set("large", { name: "large" }, 10_000);
  assert.equal(cache.get("large"), undefined);
  assert.equal(cache.get("a")?.name, "a");
  for (let count = 0; count < 1_000; count += 1) cache.set(String(count), { name: "" }, 0);
  assert.ok(cache.bytes <= 10_000);
  assert.equal(cache.get("0"), undefined);
  cache.delete("999");
  assert.equal(cache.get("999"), undefined);
  cache.clear();
  assert.equal(cache.bytes, 0);
});
