import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createDocroots } from "../../worker/docroot.ts";

test("createDocroots prepares a directory once for all mounts", (t) => {
  const root = mkdtempSync(join(tmpdir(), "portico-docroots-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const docroots = createDocroots();
  assert.equal(docroots(root), docroots(root));
  assert.notEqual(docroots(root), createDocroots()(root));
  const none = join(root, "none");
  for (const [directory, fault] of [
    [none, /^Cannot use the directory ".*none": ENOENT/],
    [import.meta.filename, /docroot\.test\.ts" is not a directory$/],
  ] as const) {
    const refused = docroots(directory);
    assert.ok(typeof refused === "string");
    assert.match(refused, fault);
  }
});
