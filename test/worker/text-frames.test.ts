import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createTextFrames, encodeTextFrame } from "../../worker/text-frames.ts";

suite("encodeTextFrame", () => {
  // RFC 6455 5.2: the length in 7 bits, in 16 behind 126, in 64 behind 127.
  const heads: readonly [bytes: number, head: string][] = [
    [0, "8100"],
    [1, "8101"],
    [125, "817d"],
    [126, "817e007e"],
    [65_535, "817effff"],
    [65_536, "817f0000000000010000"],
  ];
  for (const [bytes, head] of heads)
    test(`${bytes} bytes`, () => {
      const frame = encodeTextFrame("x".repeat(bytes));
      assert.equal(frame.toString("hex", 0, head.length / 2), head);
      assert.equal(frame.toString("latin1", head.length / 2), "x".repeat(bytes));
    });

  test("counts bytes, not characters", () => {
    assert.equal(
      encodeTextFrame("é€😀").toString("hex"),
      `8109${Buffer.from("é€😀").toString("hex")}`,
    );
  });
});

test("createTextFrames encodes the same text once", () => {
  const toFrame = createTextFrames();
  const first = toFrame("hello");
  assert.equal(toFrame("hello"), first);
  assert.notEqual(toFrame("other"), first);
  assert.deepEqual(toFrame("hello"), first);
});
