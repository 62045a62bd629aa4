// What h2spec 2.6 checks with `--strict`, case by case under its numbers: 147, told by bytes of our own. Where it would take a stricter
// or a milder end too, the one we have chosen is wanted.

import assert from "node:assert/strict";
import { test } from "node:test";
import { frames } from "./h2spec/frames.ts";
import { generic } from "./h2spec/generic.ts";
import { hpack } from "./h2spec/hpack.ts";
import { messages } from "./h2spec/messages.ts";
import { streams } from "./h2spec/streams.ts";
import { judge } from "./rules.ts";

/** How many cases h2spec has in each of its sections. */
const COUNTS = {
  "generic/1": 1,
  "generic/2": 5,
  "generic/3.1": 3,
  "generic/3.2": 3,
  "generic/3.3": 5,
  "generic/3.4": 1,
  "generic/3.5": 1,
  "generic/3.7": 1,
  "generic/3.8": 1,
  "generic/3.9": 2,
  "generic/3.10": 2,
  "generic/4": 4,
  "generic/5": 15,
  "hpack/2.3.3": 2,
  "hpack/4.2": 1,
  "hpack/5.2": 3,
  "hpack/6.1": 1,
  "hpack/6.3": 1,
  "http2/3.5": 2,
  "http2/4.1": 3,
  "http2/4.2": 3,
  "http2/4.3": 3,
  "http2/5.1": 13,
  "http2/5.1.1": 2,
  "http2/5.1.2": 1,
  "http2/5.3.1": 2,
  "http2/5.4.1": 2,
  "http2/5.5": 2,
  "http2/6.1": 3,
  "http2/6.2": 4,
  "http2/6.3": 2,
  "http2/6.4": 3,
  "http2/6.5": 3,
  "http2/6.5.2": 5,
  "http2/6.5.3": 2,
  "http2/6.7": 4,
  "http2/6.8": 1,
  "http2/6.9": 3,
  "http2/6.9.1": 3,
  "http2/6.9.2": 3,
  "http2/6.10": 6,
  "http2/7": 2,
  "http2/8.1": 1,
  "http2/8.1.2": 1,
  "http2/8.1.2.1": 4,
  "http2/8.1.2.2": 2,
  "http2/8.1.2.3": 7,
  "http2/8.1.2.6": 2,
  "http2/8.2": 1,
};

test("The tables have every case of h2spec once", () => {
  const wanted = Object.entries(COUNTS).flatMap(([section, count]) =>
    Array.from({ length: count }, (_, index) => `${section}/${index + 1}`),
  );
  const ids = [generic, hpack, streams, frames, messages].flat().flatMap((one) => one.ids ?? []);
  assert.equal(wanted.length, 147);
  assert.deepEqual(ids.toSorted(), wanted.toSorted());
});

judge("Http2Front keeps to h2spec, generic:", generic);
judge("Http2Front keeps to h2spec, hpack:", hpack);
judge("Http2Front keeps to h2spec, http2, streams:", streams);
judge("Http2Front keeps to h2spec, http2, frames:", frames);
judge("Http2Front keeps to h2spec, http2, messages:", messages);
