import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { layOutParts, pieceLength, selectSpans } from "../../../worker/http/range.ts";

/** [Range, spans as "first-last"] of 1000 bytes. */
const CASES: readonly (readonly [field: string, expected: readonly string[] | "whole" | "none"])[] =
  [
    ["bytes=0-8", ["0-8"]],
    ["bytes=0-", ["0-999"]],
    ["bytes=-10", ["990-999"]],
    ["bytes=-1000", ["0-999"]],
    ["bytes=-5000", ["0-999"]],
    ["bytes=990-", ["990-999"]],
    ["bytes=990-1990", ["990-999"]],
    ["bytes=999-999", ["999-999"]],
    ["bytes=0-99999999999999999999999", ["0-999"]],
    ["BYTES=0-8", ["0-8"]],
    ["bytes= 0-8 ,\t-2", ["0-8", "998-999"]],
    ["bytes=,0-8,,", ["0-8"]],
    ["bytes=0-0,-2", ["0-0", "998-999"]],
    ["bytes=0-1,5-8", ["0-1", "5-8"]],
    ["bytes=5-8,0-1", ["5-8", "0-1"]],
    ["bytes=0-9, -10, 10-19", ["0-19", "990-999"]],
    ["bytes=0-1,1000-,5-8", ["0-1", "5-8"]],
    ["bytes=0-1,-0", ["0-1"]],
    ["bytes=0-,1-,2-,3-,4-", ["0-999"]],
    ["bytes=0-100,70-100,101-200", ["0-200"]],
    ["bytes=200-300,0-250", ["0-300"]],
    [`bytes=${"0-,".repeat(64)}`, ["0-999"]],
    [`bytes=${"0-,".repeat(65)}`, "whole"],
    [`bytes=${"0-,".repeat(1000)}`, "whole"],

    ["bytes=1000-", "none"],
    ["bytes=1000-2000", "none"],
    ["bytes=99999999999999999999-", "none"],
    ["bytes=-0", "none"],
    ["bytes=1000-,-0", "none"],

    ["", "whole"],
    ["foo", "whole"],
    ["bytes", "whole"],
    ["bytes=", "whole"],
    ["bytes=,", "whole"],
    ["bytes=alpha", "whole"],
    ["bytes=7-1", "whole"],
    ["bytes=0-1,7-1", "whole"],
    ["bytes=1-4,x", "whole"],
    ["bytes=-", "whole"],
    ["bytes=--1", "whole"],
    ["bytes=1-2-3", "whole"],
    ["bytes=0 - 8", "whole"],
    ["bytes=0x0-8", "whole"],
    ["bytes=+0-8", "whole"],
    ["bytes=0.5-8", "whole"],
    ["bytes=1e1-", "whole"],
    ["bytes =0-8", "whole"],
    ["lines=0-8", "whole"],
    ["bytes=0-8;q=1", "whole"],
  ];

for (const [field, expected] of CASES)
  test(`selectSpans: ${field.slice(0, 40)}`, () => {
    const spans = selectSpans(field, 1000);
    const shown =
      typeof spans === "string" ? spans : spans.map(({ start, end }) => `${start}-${end - 1}`);
    assert.deepEqual(shown, expected);
  });

test("selectSpans sends an empty file whole", () => {
  for (const field of ["bytes=0-", "bytes=-5", "bytes=0-0,-1"])
    assert.equal(selectSpans(field, 0), "whole");
});

test("selectSpans never asks for a byte twice, nor for one behind the end", () => {
  const position = fc.oneof(fc.nat(120), fc.constant(""));
  const field = fc
    .array(fc.tuple(position, position), { minLength: 1, maxLength: 70 })
    .map((specs) => `bytes=${specs.map(([first, last]) => `${first}-${last}`).join(",")}`);
  fc.assert(
    fc.property(field, fc.integer({ min: 1, max: 100 }), (range, size) => {
      const spans = selectSpans(range, size);
      if (typeof spans === "string") return;
      const seen = new Set<number>();
      for (const { start, end } of spans) {
        assert.ok(start >= 0 && start < end && end <= size);
        for (let at = start; at < end; at += 1) {
          assert.ok(!seen.has(at), `${at} twice`);
          seen.add(at);
        }
      }
    }),
  );
});

test("layOutParts knows the length beforehand", () => {
  const spans = [
    { start: 0, end: 2 },
    { start: 5, end: 9 },
  ];
  const { pieces, length } = layOutParts(spans, { type: "text/plain", size: 10 }, "B");
  const source = Buffer.from("0123456789");
  const body = Buffer.concat(
    pieces.map((piece) =>
      Buffer.isBuffer(piece) ? piece : source.subarray(piece.start, piece.end),
    ),
  );
  assert.equal(
    body.toString(),
    "--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01" +
      "\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 5-8/10\r\n\r\n5678\r\n--B--\r\n",
  );
  assert.equal(length, body.length);
  assert.equal(
    pieces.reduce((total, piece) => total + pieceLength(piece), 0),
    length,
  );
  const untyped = layOutParts(spans, { type: undefined, size: 10 }, "B");
  assert.ok(
    !untyped.pieces.some((piece) => Buffer.isBuffer(piece) && piece.includes("Content-Type")),
  );
});
