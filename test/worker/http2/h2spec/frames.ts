// Section 6 of h2spec's "http2": each frame by itself.

import { data, frame, headers, number32, settings } from "../../../helpers/http2-wire.ts";
import type { Case } from "../rules.ts";
import {
  acknowledged,
  continuation,
  FILLER,
  FLOW_CONTROL_ERROR,
  FRAME_SIZE_ERROR,
  GET,
  GET_BLOCK,
  hasData,
  initialWindow,
  openHeaders,
  ping,
  PING,
  POST,
  PROTOCOL_ERROR,
  windowUpdate,
} from "./build.ts";

const WRONG = `GOAWAY ${PROTOCOL_ERROR}`;
const WRONG_SIZE = `GOAWAY ${FRAME_SIZE_ERROR}`;
const MAX_WINDOW = 0x7fff_ffff;

export const frames: readonly Case[] = [
  // 6.1
  {
    ids: ["http2/6.1/1"],
    what: "DATA without a stream",
    bytes: [data(0, "test", true)],
    verdict: WRONG,
  },
  {
    ids: ["http2/6.1/3"],
    what: "DATA with more padding than payload",
    bytes: [POST, frame(0x0, 0x9, 1, Buffer.from("\x06test"))],
    verdict: WRONG,
  },
  // 6.2
  { ids: ["http2/6.2/3"], what: "HEADERS without a stream", bytes: [headers(0)], verdict: WRONG },
  {
    ids: ["http2/6.2/4"],
    what: "HEADERS with more padding than payload",
    bytes: [frame(0x1, 0xd, 1, Buffer.concat([Buffer.of(GET_BLOCK.length + 1), GET_BLOCK]))],
    verdict: WRONG,
  },
  // 6.3, 6.4
  {
    ids: ["http2/6.3/1"],
    what: "PRIORITY without a stream",
    bytes: [frame(0x2, 0, 0, [0, 0, 0, 0, 255])],
    verdict: WRONG,
  },
  {
    ids: ["http2/6.3/2"],
    what: "PRIORITY of four bytes",
    bytes: [POST, frame(0x2, 0, 1, [0x80, 0, 0, 1])],
    verdict: WRONG_SIZE,
  },
  {
    ids: ["http2/6.4/1"],
    what: "RST_STREAM without a stream",
    bytes: [frame(0x3, 0, 0, number32(8))],
    verdict: WRONG,
  },
  {
    ids: ["http2/6.4/3"],
    what: "RST_STREAM of three bytes",
    bytes: [POST, frame(0x3, 0, 1, [0, 0, 8])],
    verdict: WRONG_SIZE,
  },
  // 6.5
  {
    ids: ["http2/6.5/1"],
    what: "an acknowledgement with a payload",
    bytes: [frame(0x4, 1, 0, [0])],
    verdict: WRONG_SIZE,
  },
  {
    ids: ["http2/6.5/2"],
    what: "SETTINGS on a stream",
    bytes: [frame(0x4, 0, 1, [0, 3, 0, 0, 0, 100])],
    verdict: WRONG,
  },
  {
    ids: ["http2/6.5/3"],
    what: "SETTINGS of nine bytes",
    bytes: [frame(0x4, 0, 0, [0, 3, 0, 0, 0, 100, 0, 2, 0])],
    verdict: WRONG_SIZE,
  },
  { ids: ["http2/6.5.2/1"], what: "ENABLE_PUSH of 2", bytes: [settings([0x2, 2])], verdict: WRONG },
  {
    ids: ["http2/6.5.2/2", "http2/6.9.2/3"],
    what: "INITIAL_WINDOW_SIZE of 2^31",
    bytes: [initialWindow(MAX_WINDOW + 1)],
    verdict: `GOAWAY ${FLOW_CONTROL_ERROR}`,
  },
  {
    ids: ["http2/6.5.2/3"],
    what: "MAX_FRAME_SIZE of 2^14 - 1",
    bytes: [settings([0x5, 16_383])],
    verdict: WRONG,
  },
  {
    ids: ["http2/6.5.2/4"],
    what: "MAX_FRAME_SIZE of 2^24",
    bytes: [settings([0x5, 2 ** 24])],
    verdict: WRONG,
  },
  {
    ids: ["http2/6.5.2/5"],
    what: "an unknown setting",
    bytes: [settings([0xff, 1]), PING],
    verdict: "PING ack h2",
  },
  {
    ids: ["http2/6.5.3/1"],
    what: "one setting twice in a frame",
    bytes: [acknowledged, settings([0x4, 100], [0x4, 1]), acknowledged, GET],
    verdict: "DATA 1",
  },
  {
    ids: ["http2/6.5.3/2"],
    what: "SETTINGS are acknowledged",
    bytes: [acknowledged, settings([0x2, 0])],
    verdict: "SETTINGS ack",
  },
  // 6.7, 6.8
  {
    ids: ["http2/6.7/2"],
    what: "an acknowledged PING is not answered",
    bytes: [ping("first", 1), ping("second")],
    verdict: "PING ack second",
  },
  {
    ids: ["http2/6.7/3"],
    what: "PING on a stream",
    bytes: [frame(0x6, 0, 1, Buffer.alloc(8))],
    verdict: WRONG,
  },
  {
    ids: ["http2/6.7/4"],
    what: "PING of six bytes",
    bytes: [frame(0x6, 0, 0, Buffer.alloc(6))],
    verdict: WRONG_SIZE,
  },
  {
    ids: ["http2/6.8/1"],
    what: "GOAWAY on a stream",
    bytes: [frame(0x7, 0, 1, Buffer.alloc(8))],
    verdict: WRONG,
  },
  // 6.9
  { ids: ["http2/6.9/1"], what: "WINDOW_UPDATE by 0", bytes: [windowUpdate(0, 0)], verdict: WRONG },
  {
    ids: ["http2/6.9/2"],
    what: "WINDOW_UPDATE of a stream by 0",
    bytes: [POST, windowUpdate(1, 0)],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  {
    ids: ["http2/6.9/3"],
    what: "WINDOW_UPDATE of three bytes",
    bytes: [frame(0x8, 0, 0, [0, 0, 1])],
    verdict: WRONG_SIZE,
  },
  {
    ids: ["http2/6.9.1/1"],
    what: "a window of one byte",
    bytes: [acknowledged, initialWindow(1), acknowledged, GET],
    verdict: "DATA 1",
  },
  {
    ids: ["http2/6.9.1/2"],
    what: "a connection's window above 2^31 - 1",
    bytes: [windowUpdate(0, MAX_WINDOW), windowUpdate(0, MAX_WINDOW)],
    verdict: `GOAWAY ${FLOW_CONTROL_ERROR}`,
  },
  {
    ids: ["http2/6.9.1/3"],
    what: "a stream's window above 2^31 - 1",
    bytes: [POST, windowUpdate(1, MAX_WINDOW), windowUpdate(1, MAX_WINDOW)],
    verdict: `RST ${FLOW_CONTROL_ERROR}`,
  },
  {
    ids: ["http2/6.9.2/1"],
    what: "windows that grow with a setting",
    bytes: [
      acknowledged,
      initialWindow(0),
      acknowledged,
      GET,
      ({ type, stream }) => type === 0x1 && stream === 1,
      initialWindow(1),
    ],
    verdict: "DATA 1",
  },
  {
    ids: ["http2/6.9.2/2"],
    what: "a window that became negative",
    bytes: [
      acknowledged,
      initialWindow(3),
      acknowledged,
      GET,
      hasData,
      initialWindow(2),
      acknowledged,
      windowUpdate(1, 2),
    ],
    verdict: "DATA 1",
  },
  // 6.10
  {
    ids: ["http2/6.10/1"],
    what: "a long block in several frames",
    bytes: [openHeaders(), continuation(1, FILLER, false), continuation(1, FILLER, true)],
    verdict: "200",
  },
  {
    ids: ["http2/6.10/2"],
    what: "DATA in a block",
    bytes: [openHeaders(), continuation(1, FILLER, false), data(1, "test", true)],
    verdict: WRONG,
  },
  {
    ids: ["http2/6.10/3"],
    what: "CONTINUATION without a stream",
    bytes: [openHeaders(), continuation(0, FILLER, true)],
    verdict: WRONG,
  },
  {
    ids: ["http2/6.10/5"],
    what: "CONTINUATION behind the last of them",
    bytes: [openHeaders(), continuation(1, FILLER, true), continuation(1, FILLER, true)],
    verdict: WRONG,
  },
  {
    ids: ["http2/6.10/6"],
    what: "CONTINUATION behind DATA",
    bytes: [
      openHeaders(),
      data(1, "test", true),
      continuation(1, FILLER, false),
      continuation(0, FILLER, true),
    ],
    verdict: WRONG,
  },
  // 7
  {
    ids: ["http2/7/1"],
    what: "GOAWAY with an unknown code",
    bytes: [frame(0x7, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0xff])],
    verdict: "closed",
  },
  {
    ids: ["http2/7/2"],
    what: "RST_STREAM with an unknown code",
    bytes: [POST, frame(0x3, 0, 1, number32(0xff)), PING],
    verdict: "PING ack h2",
  },
];
