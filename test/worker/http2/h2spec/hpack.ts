// The section "hpack" of h2spec: blocks that cannot be decoded.

import type { Case } from "../rules.ts";
import { COMPRESSION_ERROR, getWith, literal, pack } from "./build.ts";

const BROKEN = `GOAWAY ${COMPRESSION_ERROR}`;
const NAME = Buffer.of(1, 0x61);

/** A field without indexing whose value is `bytes`, said to be packed. */
function packed(...bytes: readonly number[]): Buffer {
  return Buffer.concat([Buffer.of(0), NAME, Buffer.of(0x80 | bytes.length, ...bytes)]);
}

export const hpack: readonly Case[] = [
  {
    ids: ["hpack/2.3.3/1"],
    what: "an index that does not exist",
    bytes: [getWith([0x80 | 70])],
    verdict: BROKEN,
  },
  {
    ids: ["hpack/2.3.3/2"],
    what: "a name whose index does not exist",
    bytes: [getWith(literal([0x40, 6], 70, "", false))],
    verdict: BROKEN,
  },
  {
    ids: ["hpack/4.2/1"],
    what: "a table size update behind a field",
    bytes: [getWith([0x21])],
    verdict: BROKEN,
  },
  {
    ids: ["hpack/5.2/1"],
    what: "padding of more than seven bits",
    bytes: [getWith(packed(...pack("test"), 0xff))],
    verdict: BROKEN,
  },
  {
    // "a" has five bits, 00011; the other three should be ones.
    ids: ["hpack/5.2/2"],
    what: "padding with zeros",
    bytes: [getWith(packed(0x18))],
    verdict: BROKEN,
  },
  {
    ids: ["hpack/5.2/3"],
    what: "the end of the string as a symbol",
    bytes: [getWith(packed(0xff, 0xff, 0xff, 0xff))],
    verdict: BROKEN,
  },
  { ids: ["hpack/6.1/1"], what: "the index 0", bytes: [getWith([0x80])], verdict: BROKEN },
  {
    ids: ["hpack/6.3/1"],
    what: "a table size above ours",
    bytes: [getWith([], [0x3f, 0xe2, 0x1f])],
    verdict: BROKEN,
  },
];
