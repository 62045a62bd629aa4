import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { createFrameReader, encodeFrame, FrameError } from "../../ipc/frame.ts";

const MAX_BYTES = 1_000;

function readAll(chunks: readonly Buffer[]): unknown[] {
  const values: unknown[] = [];
  const reader = createFrameReader(MAX_BYTES, (value) => values.push(value));
  for (const chunk of chunks) reader.push(chunk);
  assert.equal(reader.pending, false);
  return values;
}

test("createFrameReader gives back what encodeFrame wrote, however the bytes are cut", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record(
          { n: fc.integer(), s: fc.string({ maxLength: 40 }), list: fc.array(fc.boolean()) },
          { noNullPrototype: true },
        ),
        { maxLength: 20 },
      ),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      (values, sizes) => {
        const bytes = Buffer.concat(values.map((value) => encodeFrame(value, MAX_BYTES)));
        const chunks: Buffer[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          chunks.push(bytes.subarray(at, at + size));
          at += size;
        }
        assert.deepEqual(readAll(chunks), values);
      },
    ),
  );
});

test("createFrameReader hands out bytes that later reads cannot change", () => {
  const received: Uint8Array[] = [];
  const reader = createFrameReader(MAX_BYTES, (value) =>
    received.push((value as { data: Uint8Array }).data),
  );
  const chunk = encodeFrame({ data: Buffer.from("hello") }, MAX_BYTES);
  reader.push(chunk);
  chunk.fill(0);
  assert.equal(Buffer.from(received[0] ?? []).toString(), "hello");
});

test("createFrameReader refuses a frame above the limit before its body comes", () => {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(MAX_BYTES + 1);
  assert.throws(() => readAll([header]), FrameError);
});

test("createFrameReader refuses a body that ends in the middle of a value", () => {
  assert.throws(() => readAll([Buffer.from([0, 0, 0, 3, 0xda, 0xff, 0xff])]), FrameError);
});

test("createFrameReader never throws anything but FrameError on random bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        createFrameReader(MAX_BYTES, () => {}).push(Buffer.from(bytes));
      } catch (error) {
        assert.ok(error instanceof FrameError);
      }
    }),
  );
});

test("encodeFrame refuses a value above the limit", () => {
  assert.throws(() => encodeFrame("x".repeat(MAX_BYTES + 1), MAX_BYTES), FrameError);
});
