import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { ACTIVITY_BYTES, encodeNames, readActivity } from "../../ipc/activity.ts";

function fileWith(number: number, names: readonly string[] | string): Buffer {
  const file = Buffer.alloc(ACTIVITY_BYTES);
  file.writeInt32LE(number, 0);
  const { at, text } = encodeNames(Array.isArray(names) ? names : []);
  file.fill(0, at);
  file.set(typeof names === "string" ? Buffer.from(names) : text, at);
  return file;
}

suite("readActivity", () => {
  test("gives the name that the number stands for", () => {
    assert.equal(readActivity(fileWith(2, ["first", "sécond"])), "sécond");
  });

  test("gives nothing where nothing is noted, or nothing can be made of it", () => {
    assert.equal(readActivity(fileWith(0, ["first"])), undefined);
    assert.equal(readActivity(fileWith(-1, ["first"])), undefined);
    assert.equal(readActivity(fileWith(2, ["first"])), undefined);
    for (const text of ['["cut', "[1]", "{}", "null", "[[]]"])
      assert.equal(readActivity(fileWith(1, text)), undefined, text);
    assert.equal(readActivity(Buffer.alloc(0)), undefined);
  });

  test("cuts a name that was made long to fill the log", () => {
    assert.equal(readActivity(fileWith(1, ["x".repeat(10_000)]))?.length, 200);
  });

  test("has names that do not fit left out, the first ones kept", () => {
    const many = Array.from({ length: 10_000 }, (_, n) => `the protocol "p${n}" of vhost x:80`);
    assert.equal(readActivity(fileWith(1, many)), many[0]);
  });
});
