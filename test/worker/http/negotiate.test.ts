import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptedCodings, preferredType } from "../../../worker/http/negotiate.ts";

/** [Accept-Encoding, codings, whether the bare content is fine] */
const CASES: readonly (readonly [
  field: string | undefined,
  codings: readonly string[],
  identity: boolean,
])[] = [
  [undefined, [], true],
  ["", [], true],
  ["gzip", ["gzip"], true],
  ["GZIP", ["gzip"], true],
  ["x-gzip", ["gzip"], true],
  ["gzip, deflate, br, zstd", ["br", "zstd", "gzip"], true],
  ["gzip;q=1.0, br;q=0.5", ["gzip", "br"], true],
  ["gzip;q=0, br", ["br"], true],
  ["br;q=0, *;q=0.1", ["zstd", "gzip"], true],
  ["br;q=0, *", ["zstd", "gzip"], true],
  ["*", ["br", "zstd", "gzip"], true],
  ["*;q=0", [], false],
  ["deflate, compress", [], true],
  ["identity", [], true],
  ["identity, gzip", ["gzip"], true],
  ["identity, gzip;q=0.5", [], true],
  ["identity;q=0.5, gzip", ["gzip"], true],
  ["identity;q=0", [], false],
  ["identity;q=0, gzip", ["gzip"], false],
  ["gzip, *;q=0", ["gzip"], false],
  ["gzip;q=0", [], true],
  ["gzip;q=0.001", ["gzip"], true],
  ["br;q=0.2, zstd;q=0.9, gzip;q=0.9", ["zstd", "gzip", "br"], true],
  ["brotli, gzipped, zstandard", [], true],
  [",,;", [], true],
];

for (const [field, codings, identity] of CASES)
  test(`acceptedCodings: ${field}`, () => {
    assert.deepEqual(acceptedCodings(field), { codings, identity });
  });

test("acceptedCodings reads a long field in one pass", () => {
  const field = `${"x, ".repeat(5_000)}gzip`;
  assert.deepEqual(acceptedCodings(field).codings, ["gzip"]);
});

test("preferredType follows the client, and the server among equals", () => {
  const types = ["text/html", "application/json"];
  const cases = [
    [undefined, "text/html"],
    ["*/*", "text/html"],
    ["application/json", "application/json"],
    ["application/*", "application/json"],
    ["text/html;q=0.5, application/json", "application/json"],
    ["application/json;q=0.5, */*;q=0.8", "text/html"],
    ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"],
    ["image/png", undefined],
  ] as const;
  for (const [accept, expected] of cases) assert.equal(preferredType(accept, types), expected);
});
