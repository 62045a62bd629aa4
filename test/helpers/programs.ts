// Programs of the system that some tests need. Where they are missing the test is skipped, saying why; in CI it fails.

import assert from "node:assert/strict";
import { accessSync, constants } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import type { TestContext } from "node:test";

/** The first of `candidates` (paths, or names to look up in PATH) that can be run. Undefined once the test is skipped. */
export function needs(
  t: TestContext,
  what: string,
  candidates: readonly string[],
): string | undefined {
  const found = candidates.flatMap(places).find(isProgram);
  if (found !== undefined) return found;
  const reason = `${what} is not installed (looked for ${candidates.join(", ")})`;
  assert.notEqual(process.env["CI"], "true", reason);
  t.skip(reason);
  return undefined;
}

function places(candidate: string): string[] {
  if (isAbsolute(candidate)) return [candidate];
  const directories = (process.env["PATH"] ?? "").split(delimiter).filter((path) => path !== "");
  return directories.map((directory) => join(directory, candidate));
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
