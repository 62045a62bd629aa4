// What is known by its bytes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteMemory, startsWith, type Known } from "../../../worker/http/byte-memory.ts";

const KEY = 5;

test("ByteMemory finds what was kept, by exactly its bytes", () => {
  const memory = new ByteMemory<Known>(4);
  const known = { bytes: Buffer.from("abc") };
  memory.keep(KEY, known);
  const bytes = Buffer.from("xabcx");
  assert.equal(memory.find(KEY, bytes, 1, 4), known);
  assert.equal(memory.find(KEY, bytes, 1, 3), undefined);
  assert.equal(memory.find(KEY, bytes, 1, 5), undefined);
  assert.equal(memory.find(KEY, bytes, 0, 3), undefined);
  assert.equal(memory.find(KEY + 1, bytes, 1, 4), undefined);
});

test("ByteMemory keeps one thing at a place, and only what comes again", () => {
  const memory = new ByteMemory<Known>(4);
  assert.deepEqual(
    [KEY, KEY, KEY + 4, KEY].map((key) => memory.isRepeated(key)),
    [false, true, false, false],
  );
  const [one, other] = [{ bytes: Buffer.from("a") }, { bytes: Buffer.from("b") }];
  memory.keep(KEY, one);
  memory.keep(KEY + 4, other);
  assert.equal(memory.find(KEY, one.bytes, 0, 1), undefined);
  assert.equal(memory.find(KEY + 4, other.bytes, 0, 1), other);
});

test("startsWith compares short and long beginnings to their last byte", () => {
  for (const length of [1, 127, 128, 129, 1000]) {
    const bytes = Buffer.alloc(length + 1, "a");
    const beginning = Buffer.alloc(length, "a");
    assert.ok(startsWith(bytes, 1, beginning), String(length));
    // There is one byte less.
    assert.ok(!startsWith(bytes, 2, beginning), String(length));
    bytes[length] = 0x62;
    assert.ok(!startsWith(bytes, 1, beginning), String(length));
  }
});
