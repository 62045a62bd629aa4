// Sections 3 to 5 of h2spec's "http2": preface, frames, streams.

import { block, data, frame, GET_FIELDS, headers, number32 } from "../../../helpers/http2-wire.ts";
import type { Case } from "../rules.ts";
import {
  answered,
  CANCEL_1,
  COMPRESSION_ERROR,
  continuation,
  FILLER,
  FRAME_SIZE_ERROR,
  GET,
  GET_BLOCK,
  initialWindow,
  openHeaders,
  PING,
  POST,
  PRIORITY_1,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  STREAM_CLOSED,
  windowUpdate,
} from "./build.ts";

const WRONG = `GOAWAY ${PROTOCOL_ERROR}`;
const CLOSED = `GOAWAY ${STREAM_CLOSED}`;
const UNKNOWN = frame(0x16, 0, 0, Buffer.alloc(8));
/** Says that stream 1 depends on itself. */
const OWN_PARENT = Buffer.of(0, 0, 0, 1, 255);
/** As SETTINGS_MAX_CONCURRENT_STREAMS says. */
const STREAMS = 100;

/** Where h2spec wants an error of the stream it takes one of the connection too (RFC 9113 5.4.2 leaves the choice). */
export const streams: readonly Case[] = [
  {
    ids: ["http2/3.5/2"],
    what: "another preface",
    bytes: [Buffer.from("NO PREFACE OF HTTP/2 AT ALL\r\n\r\n")],
    verdict: WRONG,
    isBare: true,
  },
  // 4.1, 4.2, 4.3
  {
    ids: ["http2/4.1/1", "http2/5.5/1"],
    what: "an unknown frame",
    bytes: [UNKNOWN, PING],
    verdict: "PING ack h2",
  },
  {
    ids: ["http2/4.1/2"],
    what: "unknown flags",
    bytes: [frame(0x6, 0x16, 0, Buffer.from("flags\0\0\0"))],
    verdict: "PING ack flags",
  },
  {
    ids: ["http2/4.1/3"],
    what: "the reserved bit of a stream",
    bytes: [frame(0x6, 0x16, 0x8000_0000, Buffer.from("bit\0\0\0\0\0"))],
    verdict: "PING ack bit",
  },
  {
    ids: ["http2/4.2/1"],
    what: "DATA of 2^14 bytes",
    bytes: [POST, data(1, Buffer.alloc(16_384), true)],
    verdict: "200",
  },
  {
    ids: ["http2/4.2/2"],
    what: "DATA of 2^14 + 1 bytes",
    bytes: [POST, data(1, Buffer.alloc(16_385), true)],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  {
    ids: ["http2/4.2/3"],
    what: "HEADERS that are too large",
    bytes: [
      frame(0x1, 0x5, 1, Buffer.concat([GET_BLOCK, ...Array.from({ length: 5 }, () => FILLER)])),
    ],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  {
    ids: ["http2/4.3/1"],
    what: "a block that ends within a field",
    bytes: [frame(0x1, 0x5, 1, [0x40])],
    verdict: `GOAWAY ${COMPRESSION_ERROR}`,
  },
  {
    ids: ["http2/4.3/2", "http2/6.2/1"],
    what: "PRIORITY between HEADERS and CONTINUATION",
    bytes: [openHeaders(), PRIORITY_1, continuation(1, FILLER, true)],
    verdict: WRONG,
  },
  {
    ids: ["http2/4.3/3", "http2/6.2/2"],
    what: "HEADERS of another stream in a block",
    bytes: [openHeaders(), headers(3), continuation(1, FILLER, true)],
    verdict: WRONG,
  },
  // 5.1
  {
    ids: ["http2/5.1/1"],
    what: "DATA on an idle stream",
    bytes: [data(1, "test", true)],
    verdict: WRONG,
  },
  {
    ids: ["http2/5.1/2", "http2/6.4/2"],
    what: "RST_STREAM on an idle stream",
    bytes: [CANCEL_1],
    verdict: WRONG,
  },
  {
    ids: ["http2/5.1/3"],
    what: "WINDOW_UPDATE on an idle stream",
    bytes: [windowUpdate(1, 100)],
    verdict: WRONG,
  },
  {
    ids: ["http2/5.1/4"],
    what: "CONTINUATION on an idle stream",
    bytes: [continuation(1, GET_BLOCK, true)],
    verdict: WRONG,
  },
  {
    ids: ["http2/5.1/5", "http2/6.1/2"],
    what: "DATA behind the end of a request",
    bytes: [GET, data(1, "test", true)],
    verdict: CLOSED,
  },
  {
    ids: ["http2/5.1/6"],
    what: "HEADERS behind the end of a request",
    bytes: [GET, GET],
    verdict: CLOSED,
  },
  {
    ids: ["http2/5.1/7", "http2/6.10/4"],
    what: "CONTINUATION behind the end of the fields",
    bytes: [GET, continuation(1, FILLER, true)],
    verdict: WRONG,
  },
  {
    ids: ["http2/5.1/8"],
    what: "DATA behind RST_STREAM",
    bytes: [POST, CANCEL_1, data(1, "test", true)],
    verdict: CLOSED,
  },
  {
    ids: ["http2/5.1/9"],
    what: "HEADERS behind RST_STREAM",
    bytes: [POST, CANCEL_1, GET],
    verdict: CLOSED,
  },
  {
    ids: ["http2/5.1/10"],
    what: "CONTINUATION behind RST_STREAM",
    bytes: [POST, CANCEL_1, continuation(1, FILLER, true)],
    verdict: WRONG,
  },
  {
    ids: ["http2/5.1/11"],
    what: "DATA on a stream that both have ended",
    bytes: [GET, answered, data(1, "test", true)],
    verdict: CLOSED,
  },
  {
    ids: ["http2/5.1/12"],
    what: "HEADERS on a stream that both have ended",
    bytes: [GET, answered, GET],
    verdict: CLOSED,
  },
  {
    ids: ["http2/5.1/13"],
    what: "CONTINUATION on a stream that both have ended",
    bytes: [GET, answered, continuation(1, FILLER, true)],
    verdict: WRONG,
  },
  { ids: ["http2/5.1.1/1"], what: "an even stream", bytes: [headers(2)], verdict: WRONG },
  {
    ids: ["http2/5.1.1/2"],
    what: "a stream that was passed over",
    bytes: [headers(5), headers(3)],
    verdict: WRONG,
    stream: 3,
  },
  {
    ids: ["http2/5.1.2/1"],
    what: "one stream more than there may be",
    bytes: [
      initialWindow(0),
      ...Array.from({ length: STREAMS + 1 }, (_, index) => headers(2 * index + 1)),
    ],
    verdict: `RST ${REFUSED_STREAM}`,
    stream: 2 * STREAMS + 1,
    isFull: true,
  },
  // 5.3.1, 5.4.1, 5.5
  {
    ids: ["http2/5.3.1/1"],
    what: "HEADERS that depend on themselves",
    bytes: [frame(0x1, 0x25, 1, Buffer.concat([OWN_PARENT, block(GET_FIELDS)]))],
    verdict: WRONG,
  },
  {
    ids: ["http2/5.3.1/2"],
    what: "PRIORITY of a stream that depends on itself",
    bytes: [frame(0x2, 0, 1, OWN_PARENT)],
    verdict: WRONG,
  },
  {
    ids: ["http2/5.4.1/1", "http2/5.4.1/2"],
    what: "GOAWAY, and then the end of the connection",
    bytes: [frame(0x6, 0, 3, number32(0)), frame(0x6, 0, 0, Buffer.alloc(8))],
    verdict: WRONG,
  },
  {
    ids: ["http2/5.5/2"],
    what: "an unknown frame in a block",
    bytes: [openHeaders(), UNKNOWN],
    verdict: WRONG,
  },
];
