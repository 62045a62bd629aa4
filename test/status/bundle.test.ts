import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { buildStatusPage } from "../../status/build.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const STATUS = join(import.meta.dirname, "../../status");
const read = (directory: string, name: string): string =>
  readFileSync(join(directory, name), "utf8");

suite("The shipped status page", () => {
  test("is what its sources make (npm run build:status)", async (t) => {
    const directory = temporaryDirectory(t);
    await buildStatusPage(directory);
    for (const name of ["status.js", "status.css"])
      assert.ok(read(directory, name) === read(STATUS, name), `status/${name} is stale`);
  });

  test("carries the licences of what it contains", () => {
    const script = read(STATUS, "status.js");
    for (const holder of ["Jason Miller", "Leon Sorokin"]) assert.ok(script.includes(holder));
  });

  test("has no way to make markup of text", () => {
    assert.doesNotMatch(read(STATUS, "status.js"), /innerHTML|outerHTML|insertAdjacentHTML|eval\(/);
  });
});
