// HPACK against the examples of RFC 7541 Appendix C, and both ways with random fields.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { HpackDecoder } from "../../../worker/http2/hpack-decoder.ts";
import { createFieldEncoder, encodeField } from "../../../worker/http2/hpack-encoder.ts";
import { decodeHuffman, encodeHuffman, huffmanBytes } from "../../../worker/http2/huffman.ts";

type Fields = [name: string, value: string][];

function createDecoder(): (hex: string) => Fields {
  const decoder = new HpackDecoder({ tableBytes: 4096, listBytes: 65_536 });
  return (hex) => {
    const block = Buffer.from(hex.replaceAll(" ", ""), "hex");
    return decoder.decode(block, 0, block.length).fields.map(({ name, value }) => [name, value]);
  };
}

const FIRST: Fields = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "www.example.com"],
];
const SECOND: Fields = [...FIRST, ["cache-control", "no-cache"]];
const THIRD: Fields = [
  [":method", "GET"],
  [":scheme", "https"],
  [":path", "/index.html"],
  [":authority", "www.example.com"],
  ["custom-key", "custom-value"],
];

suite("HpackDecoder reads RFC 7541", () => {
  for (const [what, blocks] of [
    [
      "C.2.1",
      [
        [
          "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
          [["custom-key", "custom-header"]],
        ],
      ],
    ],
    ["C.2.2", [["040c 2f73 616d 706c 652f 7061 7468", [[":path", "/sample/path"]]]]],
    ["C.2.3", [["1008 7061 7373 776f 7264 0673 6563 7265 74", [["password", "secret"]]]]],
    ["C.2.4", [["82", [[":method", "GET"]]]]],
    [
      "C.3",
      [
        ["8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", FIRST],
        ["8286 84be 5808 6e6f 2d63 6163 6865", SECOND],
        ["8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", THIRD],
      ],
    ],
    [
      "C.4",
      [
        ["8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", FIRST],
        ["8286 84be 5886 a8eb 1064 9cbf", SECOND],
        ["8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", THIRD],
      ],
    ],
  ] as const)
    test(what, () => {
      const decode = createDecoder();
      for (const [hex, fields] of blocks) assert.deepEqual(decode(hex), fields);
    });

  test("C.6 with a table of 256 bytes, which evicts", () => {
    const decode = createDecoder();
    const date = "Mon, 21 Oct 2013 20:13:21 GMT";
    const location: [string, string] = ["location", "https://www.example.com"];
    assert.deepEqual(
      decode(
        "3fe1 01 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
      ),
      [[":status", "302"], ["cache-control", "private"], ["date", date], location],
    );
    assert.deepEqual(decode("4883 640e ff c1 c0 bf"), [
      [":status", "307"],
      ["cache-control", "private"],
      ["date", date],
      location,
    ]);
    // The first of all is evicted: 222 bytes are left, and the oldest is cache-control.
    assert.deepEqual(decode("c1"), [["cache-control", "private"]]);
    assert.throws(() => decode("c2"), /There is no field 66/);
  });
});

test("HpackDecoder keeps a table that is made smaller and larger", () => {
  const decode = createDecoder();
  decode("4001 6101 62");
  assert.deepEqual(decode("be"), [["a", "b"]]);
  decode("20");
  assert.throws(() => decode("be"), /There is no field 62/);
});

test("HpackDecoder drops a field that is larger than its table, and all others", () => {
  const decode = createDecoder();
  decode("3f21 4001 6101 62");
  assert.deepEqual(decode("be"), [["a", "b"]]);
  decode(`4001 63 7f01 ${"78".repeat(128)}`);
  assert.throws(() => decode("be"), /There is no field/);
});

test("decodeHuffman reads what encodeHuffman wrote, for every byte", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const text = Buffer.from(bytes).toString("latin1");
      const packed = Buffer.alloc(huffmanBytes(text));
      assert.equal(encodeHuffman(text, packed, 0), packed.length);
      const into = Buffer.alloc(packed.length * 2 + 1);
      const end = decodeHuffman(packed, 0, packed.length, into);
      assert.equal(into.toString("latin1", 0, end), text);
    }),
  );
});

test("FieldEncoder writes what HpackDecoder reads, without any state", () => {
  const name = fc.stringMatching(/^[a-zA-Z][\w-]{0,20}$/);
  const value = fc.stringMatching(/^[!-~\u0080-\u00ff]{0,200}$/);
  const encoder = createFieldEncoder(() => 0);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, value)),
      fc.integer({ min: 200, max: 599 }),
      (pairs, status) => {
        const { pieces, bytes } = encoder.encode(status, pairs.flat());
        const block = Buffer.concat(pieces);
        assert.equal(block.length, bytes);
        const expected: Fields = pairs.map(([one, text]) => [one.toLowerCase(), text]);
        const isDated = pairs.some(([one]) => one.toLowerCase() === "date");
        const date: Fields = isDated ? [] : [["date", "Thu, 01 Jan 1970 00:00:00 GMT"]];
        assert.deepEqual(createDecoder()(block.toString("hex")), [
          [":status", String(status)],
          ...expected,
          ...date,
        ]);
      },
    ),
  );
});

test("encodeField refuses what would split a field", () => {
  for (const value of ["a\r\nb", "a\nb", "a\0", "\u0100", "a\u007f"])
    assert.throws(() => encodeField("x", value), /cannot stand in a field/);
  for (const name of ["", "a b", "a:b", "A", "a\n"])
    assert.throws(() => encodeField(name, "x"), /cannot be the name/);
});
