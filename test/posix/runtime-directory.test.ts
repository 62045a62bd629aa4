import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isOutOfReach } from "../../posix/runtime-directory.mjs";

test("isOutOfReach trusts a directory only as far as every one above it", (t) => {
  const root = mkdtempSync(join(tmpdir(), "portico-reach-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const directory = join(root, "between", "private");
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  assert.equal(isOutOfReach(directory), true);
  chmodSync(root, 0o777);
  assert.equal(isOutOfReach(directory), false);
  // As /tmp: nobody can rename what others own there.
  chmodSync(root, 0o1777);
  assert.equal(isOutOfReach(directory), true);
});

test(
  "isOutOfReach does not trust the owner of a directory above",
  { skip: process.getuid?.() !== 0 && "needs root" },
  (t) => {
    const root = mkdtempSync(join(tmpdir(), "portico-reach-"));
    t.after(() => rmSync(root, { recursive: true, force: true }));
    const directory = join(root, "private");
    mkdirSync(directory, { mode: 0o700 });
    chownSync(root, 65_534, 65_534);
    assert.equal(isOutOfReach(directory), false);
  },
);
