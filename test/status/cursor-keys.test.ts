import assert from "node:assert/strict";
import { test } from "node:test";
import { rowAfterKey } from "../../status/source/cursor-keys.ts";

for (const [key, index, length, expected] of [
  ["ArrowLeft", 5, 10, 4],
  ["ArrowRight", 5, 10, 6],
  ["ArrowLeft", 0, 10, 0],
  ["ArrowUp", 9, 10, 9],
  ["PageUp", 5, 100, 15],
  ["PageDown", 5, 100, 0],
  ["Home", 5, 10, 0],
  ["End", 5, 10, 9],
  ["ArrowLeft", -1, 0, undefined],
  ["Tab", 5, 10, undefined],
] as const)
  test(`rowAfterKey: ${key} from row ${index} of ${length} leads to ${expected}`, () => {
    assert.equal(rowAfterKey(key, index, length), expected);
  });
