// Frames that break a rule of RFC 9113 4 to 6, byte by byte, and how far that breaks the connection.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  block,
  connectFrames,
  data,
  frame,
  GET_FIELDS,
  headers,
  number32,
  POST_FIELDS,
  settings,
  verdictOn,
} from "../../helpers/http2-wire.ts";
import { judge, startCounting, type Case } from "./rules.ts";

/** Error codes as GOAWAY and RST_STREAM show them. */
const PROTOCOL_ERROR = 1;
const FLOW_CONTROL_ERROR = 3;
const STREAM_CLOSED = 5;
const FRAME_SIZE_ERROR = 6;
const COMPRESSION_ERROR = 9;

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

const cases: readonly Case[] = [
  // 4.1, 4.2
  { what: "an unknown frame", bytes: [frame(0x4f, 0, 0, [1, 2]), headers(1)], verdict: "200" },
  {
    what: "unknown flags",
    bytes: [frame(0x6, 0x16 & ~1, 0, Buffer.alloc(8)), headers(1)],
    verdict: "200",
  },
  { what: "the reserved bit of a stream", bytes: [reserve(headers(1))], verdict: "200" },
  {
    what: "a DATA frame of 2^14 bytes",
    bytes: [headers(1, POST_FIELDS, false), data(1, Buffer.alloc(16_384), true)],
    verdict: "200",
  },
  {
    what: "a DATA frame of 2^14 + 1 bytes",
    bytes: [headers(1, POST_FIELDS, false), data(1, Buffer.alloc(16_385), true)],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  {
    what: "a HEADERS frame that is too large",
    bytes: [frame(0x1, 0x5, 1, Buffer.alloc(16_385))],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  // 4.3
  {
    what: "an index that does not exist",
    bytes: [frame(0x1, 0x5, 1, [0xff, 0x80, 0x01])],
    verdict: `GOAWAY ${COMPRESSION_ERROR}`,
  },
  {
    what: "the index 0",
    bytes: [frame(0x1, 0x5, 1, [0x80])],
    verdict: `GOAWAY ${COMPRESSION_ERROR}`,
  },
  {
    what: "a table size above ours",
    bytes: [frame(0x1, 0x5, 1, [0x3f, 0xe2, 0x1f])],
    verdict: `GOAWAY ${COMPRESSION_ERROR}`,
  },
  {
    what: "a table size update behind a field",
    bytes: [frame(0x1, 0x5, 1, Buffer.concat([block(GET_FIELDS), Buffer.of(0x20)]))],
    verdict: `GOAWAY ${COMPRESSION_ERROR}`,
  },
  {
    what: "Huffman padding of eight bits",
    bytes: [frame(0x1, 0x5, 1, [0x00, 0x82, 0x1f, 0xff, 0x00])],
    verdict: `GOAWAY ${COMPRESSION_ERROR}`,
  },
  {
    what: "Huffman padding with zeros",
    bytes: [frame(0x1, 0x5, 1, [0x00, 0x81, 0x18, 0x00])],
    verdict: `GOAWAY ${COMPRESSION_ERROR}`,
  },
  {
    what: "Huffman with EOS",
    bytes: [frame(0x1, 0x5, 1, [0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00])],
    verdict: `GOAWAY ${COMPRESSION_ERROR}`,
  },
  {
    what: "a string longer than its block",
    bytes: [frame(0x1, 0x5, 1, [0x00, 0x05, 0x61])],
    verdict: `GOAWAY ${COMPRESSION_ERROR}`,
  },
  {
    what: "an integer without an end",
    bytes: [frame(0x1, 0x5, 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])],
    verdict: `GOAWAY ${COMPRESSION_ERROR}`,
  },
  {
    what: "PRIORITY between HEADERS and CONTINUATION",
    bytes: [frame(0x1, 0x1, 1, block(GET_FIELDS)), frame(0x2, 0, 1, [0, 0, 0, 0, 1])],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "HEADERS of another stream in a block",
    bytes: [frame(0x1, 0x1, 1, block(GET_FIELDS)), headers(3)],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  // 5.1
  {
    what: "DATA on an idle stream",
    bytes: [data(1, "x", true)],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "RST_STREAM on an idle stream",
    bytes: [frame(0x3, 0, 1, number32(8))],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "WINDOW_UPDATE on an idle stream",
    bytes: [frame(0x8, 0, 1, number32(100))],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "CONTINUATION on an idle stream",
    bytes: [frame(0x9, 0x4, 1, block(GET_FIELDS))],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "DATA behind the end of a request",
    bytes: [headers(1), data(1, "x")],
    verdict: `GOAWAY ${STREAM_CLOSED}`,
  },
  {
    what: "HEADERS behind the end of a request",
    bytes: [headers(1), headers(1)],
    verdict: `GOAWAY ${STREAM_CLOSED}`,
  },
  {
    what: "DATA behind RST_STREAM",
    bytes: [headers(1, POST_FIELDS, false), frame(0x3, 0, 1, number32(8)), data(1, "x")],
    verdict: `GOAWAY ${STREAM_CLOSED}`,
  },
  {
    what: "HEADERS behind RST_STREAM",
    bytes: [headers(1, POST_FIELDS, false), frame(0x3, 0, 1, number32(8)), headers(1)],
    verdict: `GOAWAY ${STREAM_CLOSED}`,
  },
  {
    what: "WINDOW_UPDATE and PRIORITY on a closed stream",
    bytes: [
      headers(1, POST_FIELDS, false),
      frame(0x3, 0, 1, number32(8)),
      frame(0x8, 0, 1, number32(1)),
      frame(0x2, 0, 1, [0, 0, 0, 0, 1]),
      headers(3),
    ],
    verdict: "200",
    stream: 3,
  },
  { what: "an even stream", bytes: [headers(2)], verdict: `GOAWAY ${PROTOCOL_ERROR}` },
  {
    what: "a lower stream than before",
    bytes: [headers(5), headers(3)],
    verdict: `GOAWAY ${STREAM_CLOSED}`,
    stream: 3,
  },
  // 5.3
  {
    what: "HEADERS that depend on themselves",
    bytes: [frame(0x1, 0x25, 1, Buffer.concat([Buffer.of(0, 0, 0, 1, 255), block(GET_FIELDS)]))],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "PRIORITY of a stream that depends on itself",
    bytes: [frame(0x2, 0, 1, [0, 0, 0, 1, 1])],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "HEADERS with priority",
    bytes: [frame(0x1, 0x25, 1, Buffer.concat([Buffer.of(0x80, 0, 0, 0, 255), block(GET_FIELDS)]))],
    verdict: "200",
  },
  // 6.1
  { what: "DATA without a stream", bytes: [data(0, "x")], verdict: `GOAWAY ${PROTOCOL_ERROR}` },
  {
    what: "padded DATA",
    bytes: [headers(1, POST_FIELDS, false), frame(0x0, 0x9, 1, [3, 0x61, 0, 0, 0])],
    verdict: "200",
  },
  {
    what: "DATA with more padding than payload",
    bytes: [headers(1, POST_FIELDS, false), frame(0x0, 0x9, 1, [6, 0x61, 0, 0, 0])],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "padded DATA without a length",
    bytes: [headers(1, POST_FIELDS, false), frame(0x0, 0x9, 1)],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  // 6.2
  { what: "HEADERS without a stream", bytes: [headers(0)], verdict: `GOAWAY ${PROTOCOL_ERROR}` },
  {
    what: "padded HEADERS",
    bytes: [frame(0x1, 0xd, 1, Buffer.concat([Buffer.of(2), block(GET_FIELDS), Buffer.alloc(2)]))],
    verdict: "200",
  },
  {
    what: "HEADERS with more padding than payload",
    bytes: [frame(0x1, 0xd, 1, Buffer.concat([Buffer.of(200), block(GET_FIELDS)]))],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "HEADERS too short for priority",
    bytes: [frame(0x1, 0x25, 1, [0, 0])],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  // 6.3, 6.4
  {
    what: "PRIORITY without a stream",
    bytes: [frame(0x2, 0, 0, [0, 0, 0, 0, 1])],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "PRIORITY of four bytes",
    bytes: [frame(0x2, 0, 1, [0, 0, 0, 1])],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  {
    what: "RST_STREAM without a stream",
    bytes: [frame(0x3, 0, 0, number32(8))],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "RST_STREAM of three bytes",
    bytes: [headers(1, POST_FIELDS, false), frame(0x3, 0, 1, [0, 0, 8])],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  // 6.5
  {
    what: "an acknowledgement with settings",
    bytes: [frame(0x4, 1, 0, Buffer.alloc(6))],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  { what: "SETTINGS on a stream", bytes: [frame(0x4, 0, 1)], verdict: `GOAWAY ${PROTOCOL_ERROR}` },
  {
    what: "SETTINGS of five bytes",
    bytes: [frame(0x4, 0, 0, Buffer.alloc(5))],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  { what: "ENABLE_PUSH of 2", bytes: [settings([0x2, 2])], verdict: `GOAWAY ${PROTOCOL_ERROR}` },
  {
    what: "INITIAL_WINDOW_SIZE of 2^31",
    bytes: [settings([0x4, 2 ** 31])],
    verdict: `GOAWAY ${FLOW_CONTROL_ERROR}`,
  },
  {
    what: "MAX_FRAME_SIZE of 2^14 - 1",
    bytes: [settings([0x5, 16_383])],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "MAX_FRAME_SIZE of 2^24",
    bytes: [settings([0x5, 2 ** 24])],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "ENABLE_CONNECT_PROTOCOL of 2",
    bytes: [settings([0x8, 2])],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  { what: "an unknown setting", bytes: [settings([0xff, 1]), headers(1)], verdict: "200" },
  // 6.6, 6.7, 6.8
  {
    what: "PUSH_PROMISE",
    bytes: [frame(0x5, 0x4, 1, Buffer.concat([number32(2), block(GET_FIELDS)]))],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "PING on a stream",
    bytes: [frame(0x6, 0, 1, Buffer.alloc(8))],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "PING of six bytes",
    bytes: [frame(0x6, 0, 0, Buffer.alloc(6))],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  {
    what: "an acknowledged PING that nobody sent",
    bytes: [frame(0x6, 1, 0, Buffer.alloc(8)), headers(1)],
    verdict: "200",
  },
  {
    what: "GOAWAY on a stream",
    bytes: [frame(0x7, 0, 1, Buffer.alloc(8))],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "GOAWAY of four bytes",
    bytes: [frame(0x7, 0, 0, Buffer.alloc(4))],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  // 6.9
  {
    what: "WINDOW_UPDATE by 0",
    bytes: [frame(0x8, 0, 0, number32(0))],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "WINDOW_UPDATE of a stream by 0",
    bytes: [headers(1, POST_FIELDS, false), frame(0x8, 0, 1, number32(0))],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  {
    what: "WINDOW_UPDATE of three bytes",
    bytes: [frame(0x8, 0, 0, [0, 0, 1])],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  {
    what: "a connection's window above 2^31 - 1",
    bytes: [frame(0x8, 0, 0, number32(0x7fff_ffff))],
    verdict: `GOAWAY ${FLOW_CONTROL_ERROR}`,
  },
  {
    what: "a stream's window above 2^31 - 1",
    bytes: [headers(1, POST_FIELDS, false), frame(0x8, 0, 1, number32(0x7fff_ffff))],
    verdict: `RST ${FLOW_CONTROL_ERROR}`,
  },
  {
    what: "a stream's window above 2^31 - 1 by SETTINGS",
    bytes: [
      settings([0x4, 100]),
      headers(1, POST_FIELDS, false),
      frame(0x8, 0, 1, number32(0x7fff_ff00)),
      settings([0x4, 0x7fff_ffff]),
    ],
    verdict: `GOAWAY ${FLOW_CONTROL_ERROR}`,
  },
  // 6.10
  {
    what: "fields in several frames",
    bytes: [
      frame(0x1, 0x1, 1, block(GET_FIELDS.slice(0, 2))),
      frame(0x9, 0, 1, block(GET_FIELDS.slice(2, 3))),
      frame(0x9, 0x4, 1, block(GET_FIELDS.slice(3))),
    ],
    verdict: "200",
  },
  {
    what: "CONTINUATION behind the end of the fields",
    bytes: [headers(1, POST_FIELDS, false), frame(0x9, 0x4, 1, block([["a", "b"]]))],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "CONTINUATION without a stream",
    bytes: [frame(0x1, 0x1, 1, block(GET_FIELDS)), frame(0x9, 0x4, 0, block([["a", "b"]]))],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  // RFC 9218 7.1
  {
    what: "PRIORITY_UPDATE",
    bytes: [frame(0x10, 0, 0, Buffer.concat([number32(1), Buffer.from("u=0, i")])), headers(1)],
    verdict: "200",
  },
  {
    what: "PRIORITY_UPDATE on a stream",
    bytes: [frame(0x10, 0, 1, number32(1))],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "PRIORITY_UPDATE of stream 0",
    bytes: [frame(0x10, 0, 0, number32(0))],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  {
    what: "PRIORITY_UPDATE of three bytes",
    bytes: [frame(0x10, 0, 0, [0, 0, 1])],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
];

function reserve(bytes: Buffer): Buffer {
  bytes[5] = (bytes[5] ?? 0) | 0x80;
  return bytes;
}

judge("Http2Front answers frames that break a rule:", cases);

suite("Http2Front begins", () => {
  for (const [what, bytes] of [
    ["a wrong preface", Buffer.from("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")],
    ["a preface that goes wrong late", Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX")],
    ["another frame than SETTINGS", Buffer.concat([PREFACE, frame(0x6, 0, 0, Buffer.alloc(8))])],
    ["an acknowledgement", Buffer.concat([PREFACE, frame(0x4, 1, 0)])],
  ] as const)
    test(`with GOAWAY for ${what}`, async (t) => {
      const wire = await connectFrames((await startCounting(t)).port);
      wire.write(bytes);
      assert.equal(await verdictOn(wire), `GOAWAY ${PROTOCOL_ERROR}`);
      wire.socket.end();
      await wire.ended();
    });

  test("with SETTINGS, and the same in single bytes", async (t) => {
    const site = await startCounting(t);
    const wire = await connectFrames(site.port);
    for (const byte of Buffer.concat([PREFACE, settings(), headers(1)]))
      wire.write(Buffer.of(byte));
    assert.equal(await verdictOn(wire), "200");
    assert.equal(wire.frames[0]?.type, 0x4);
    assert.ok(wire.frames.some(({ type, flags }) => type === 0x4 && flags === 1));
    wire.socket.destroy();
  });
});
