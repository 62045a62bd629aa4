// The section "generic" of h2spec: what any server of HTTP/2 takes.

import { data, frame, headers, POST_FIELDS, settings } from "../../../helpers/http2-wire.ts";
import { PREFACE } from "../../../../worker/http2/frame.ts";
import type { Case } from "../rules.ts";
import {
  answered,
  CANCEL_1,
  continuation,
  GET,
  GET_BLOCK,
  getWith,
  initialWindow,
  literal,
  openHeaders,
  ping,
  PING,
  POST,
  priority,
  PRIORITY_1,
  windowUpdate,
} from "./build.ts";

const USER_AGENT = 58;
const INDEXED = [0x40, 6] as const;
const PLAIN = [0x00, 4] as const;
const SENSITIVE = [0x10, 4] as const;

export const generic: readonly Case[] = [
  {
    ids: ["generic/1/1", "http2/3.5/1"],
    what: "SETTINGS are the first frame",
    bytes: [PREFACE, initialWindow(65_535)],
    verdict: "SETTINGS",
    isBare: true,
  },
  // 2: streams
  {
    ids: ["generic/2/1"],
    what: "PRIORITY on an idle stream",
    bytes: [PRIORITY_1, PING],
    verdict: "PING ack h2",
  },
  {
    ids: ["generic/2/2"],
    what: "WINDOW_UPDATE behind the end of a request",
    bytes: [initialWindow(0), GET, windowUpdate(1, 1)],
    verdict: "DATA 1",
  },
  {
    ids: ["generic/2/3"],
    what: "PRIORITY behind the end of a request",
    bytes: [initialWindow(0), GET, PRIORITY_1, windowUpdate(1, 1)],
    verdict: "DATA 1",
  },
  {
    ids: ["generic/2/4"],
    what: "RST_STREAM behind the end of a request",
    bytes: [GET, CANCEL_1, PING],
    verdict: "PING ack h2",
  },
  {
    ids: ["generic/2/5"],
    what: "PRIORITY on a closed stream",
    bytes: [GET, answered, PRIORITY_1, PING],
    verdict: "PING ack h2",
  },
  // 3: frames
  {
    ids: ["generic/3.1/1", "generic/4/3"],
    what: "DATA",
    bytes: [POST, data(1, "test", true)],
    verdict: "200",
  },
  {
    ids: ["generic/3.1/2"],
    what: "DATA in several frames",
    bytes: [POST, data(1, "test"), data(1, "test", true)],
    verdict: "200",
  },
  {
    ids: ["generic/3.1/3"],
    what: "padded DATA",
    bytes: [POST, frame(0x0, 0x9, 1, Buffer.from("\x06test\0\0\0\0\0\0"))],
    verdict: "200",
  },
  { ids: ["generic/3.2/1", "generic/4/1"], what: "HEADERS", bytes: [GET], verdict: "200" },
  {
    ids: ["generic/3.2/2"],
    what: "padded HEADERS",
    bytes: [frame(0x1, 0xd, 1, Buffer.concat([Buffer.of(8), GET_BLOCK, Buffer.alloc(8)]))],
    verdict: "200",
  },
  {
    ids: ["generic/3.2/3"],
    what: "HEADERS with priority",
    bytes: [frame(0x1, 0x25, 1, Buffer.concat([Buffer.of(0, 0, 0, 0, 255), GET_BLOCK]))],
    verdict: "200",
  },
  {
    ids: ["generic/3.3/1"],
    what: "PRIORITY of the lightest weight",
    bytes: [priority(1, 0, 0), GET],
    verdict: "200",
  },
  {
    ids: ["generic/3.3/2"],
    what: "PRIORITY of the heaviest weight",
    bytes: [priority(1, 0, 255), GET],
    verdict: "200",
  },
  {
    ids: ["generic/3.3/3"],
    what: "PRIORITY with a dependency",
    bytes: [priority(3, 1, 0), GET],
    verdict: "200",
  },
  {
    ids: ["generic/3.3/4"],
    what: "PRIORITY with an exclusive dependency",
    bytes: [priority(1, 0x8000_0000, 0), GET],
    verdict: "200",
  },
  {
    ids: ["generic/3.3/5"],
    what: "PRIORITY on an idle stream before HEADERS on a lower one",
    bytes: [priority(3, 0, 255), GET],
    verdict: "200",
  },
  {
    ids: ["generic/3.4/1"],
    what: "RST_STREAM in the middle of a request",
    bytes: [POST, CANCEL_1, PING],
    verdict: "PING ack h2",
  },
  {
    ids: ["generic/3.5/1"],
    what: "SETTINGS of every kind",
    bytes: [
      (one) => one.type === 0x4 && one.flags === 1,
      settings([1, 4096], [2, 1], [3, 100], [4, 65_535], [5, 16_384], [6, 100]),
    ],
    verdict: "SETTINGS ack",
  },
  {
    ids: ["generic/3.7/1", "http2/6.7/1"],
    what: "PING",
    bytes: [ping("abcdefg")],
    verdict: "PING ack abcdefg",
  },
  {
    ids: ["generic/3.8/1"],
    what: "GOAWAY",
    bytes: [frame(0x7, 0, 0, Buffer.from("\0\0\0\0\0\0\0\0bye"))],
    verdict: "closed",
  },
  {
    ids: ["generic/3.9/1"],
    what: "WINDOW_UPDATE of the connection",
    bytes: [windowUpdate(0, 1), PING],
    verdict: "PING ack h2",
  },
  {
    ids: ["generic/3.9/2"],
    what: "WINDOW_UPDATE of a stream",
    bytes: [GET, windowUpdate(1, 1)],
    verdict: "200",
  },
  {
    ids: ["generic/3.10/1"],
    what: "CONTINUATION",
    bytes: [openHeaders(GET_BLOCK.subarray(0, 5)), continuation(1, GET_BLOCK.subarray(5), true)],
    verdict: "200",
  },
  {
    ids: ["generic/3.10/2"],
    what: "CONTINUATION in several frames",
    bytes: [
      openHeaders(GET_BLOCK.subarray(0, 5)),
      continuation(1, GET_BLOCK.subarray(5, 10), false),
      continuation(1, GET_BLOCK.subarray(10), true),
    ],
    verdict: "200",
  },
  // 4: messages
  {
    ids: ["generic/4/2"],
    what: "HEAD",
    bytes: [headers(1, [[":method", "HEAD"], ...POST_FIELDS.slice(1)])],
    verdict: "200",
  },
  {
    ids: ["generic/4/4"],
    what: "trailers",
    bytes: [
      headers(1, [...POST_FIELDS, ["trailer", "x-end"]], false),
      data(1, "test"),
      headers(1, [["x-end", "1"]]),
    ],
    verdict: "200",
  },
  // 5: HPACK
  {
    ids: ["generic/5/1"],
    what: "an indexed field",
    bytes: [getWith([0x80 | USER_AGENT])],
    verdict: "200",
  },
  ...[
    { first: INDEXED, kind: "a field that is indexed", ids: ["2", "3", "4", "5"] },
    { first: PLAIN, kind: "a field that is not indexed", ids: ["6", "7", "8", "9"] },
    { first: SENSITIVE, kind: "a field that is never indexed", ids: ["10", "11", "12", "13"] },
  ].flatMap(({ first, kind, ids }) =>
    ([USER_AGENT, "x-name"] as const).flatMap((name, nth) =>
      [false, true].map((isHuffman, packed): Case => ({
        ids: [`generic/5/${ids[2 * nth + packed]}`],
        what: `${kind}, by ${nth === 0 ? "the index of its name" : "its name"}${isHuffman ? ", packed" : ""}`,
        bytes: [getWith(literal(first, name, "value", isHuffman))],
        verdict: "200",
      })),
    ),
  ),
  {
    ids: ["generic/5/14"],
    what: "a table size update",
    bytes: [getWith([], [0x20])],
    verdict: "200",
  },
  {
    ids: ["generic/5/15"],
    what: "two table size updates",
    bytes: [getWith([], [0x20, 0x3f, 0xe1, 0x1f])],
    verdict: "200",
  },
];
