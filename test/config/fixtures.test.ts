// The configurations of test/fixtures/config, one directory for each way in which real files are written or broken.
// expected.json holds what of the result matters and all remarks, or all errors; ROOT stands for the directory.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadConfig } from "../../config/load.ts";
import { ConfigError, formatProblem, type Problem } from "../../config/problems.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures/config");

type Expected = {
  readonly config?: unknown;
  readonly errors?: readonly string[];
  readonly remarks: readonly string[];
};

/** The same parts of `actual` as `expected` has; arrays whole, so that one element too many shows. */
function partLike(actual: unknown, expected: unknown): unknown {
  if (Array.isArray(actual) && Array.isArray(expected))
    return actual.map((item, index) => partLike(item, expected[index]));
  if (!isObject(actual) || !isObject(expected)) return actual;
  const keys = Object.keys(expected).filter((key) => key in actual);
  return Object.fromEntries(keys.map((key) => [key, partLike(actual[key], expected[key])]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

async function outcomeOf(directory: string, expected: Expected): Promise<Expected> {
  const lines = (problems: readonly Problem[]) => problems.map(formatProblem);
  try {
    const { config, remarks } = await loadConfig(directory, { environment: {} });
    return { config: partLike(config, expected.config), remarks: lines(remarks) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { errors: lines(error.problems), remarks: lines(error.remarks) };
  }
}

for (const name of readdirSync(FIXTURES).toSorted())
  test(`loadConfig reads the fixture ${name} as expected`, async () => {
    const directory = join(FIXTURES, name);
    const text = readFileSync(join(directory, "expected.json"), "utf8");
    const expected = JSON.parse(text.replaceAll("ROOT", directory)) as Expected;
    assert.deepEqual(await outcomeOf(directory, expected), expected);
  });
