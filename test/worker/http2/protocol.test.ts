// Frames that break a rule of RFC 9113 4 to 6 and are not among those of h2spec.test.ts, byte by byte, and how far that breaks the
// connection.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  connectFrames,
  frame,
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
  // 4.3
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
  // 5.1
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
  {
    what: "a stream that was passed over long before",
    bytes: [headers(5), headers(7), headers(3)],
    verdict: `GOAWAY ${STREAM_CLOSED}`,
    stream: 3,
  },
  // 6.1
  {
    what: "padded DATA without a length",
    bytes: [headers(1, POST_FIELDS, false), frame(0x0, 0x9, 1)],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  // 6.2
  {
    what: "HEADERS too short for priority",
    bytes: [frame(0x1, 0x25, 1, [0, 0])],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  // 6.5
  {
    what: "ENABLE_CONNECT_PROTOCOL of 2",
    bytes: [settings([0x8, 2])],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
  // 6.6, 6.7, 6.8
  {
    what: "GOAWAY of four bytes",
    bytes: [frame(0x7, 0, 0, Buffer.alloc(4))],
    verdict: `GOAWAY ${FRAME_SIZE_ERROR}`,
  },
  // 6.9
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
