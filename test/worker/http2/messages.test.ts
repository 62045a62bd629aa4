// Requests that break a rule of RFC 9113 8 and are not among those of h2spec.test.ts, and those that have the answer HTTP/1.1 would give.

import { block, data, frame, GET_FIELDS, headers, POST_FIELDS } from "../../helpers/http2-wire.ts";
import { judge, type Case } from "./rules.ts";

const PROTOCOL_ERROR = 1;

function withField(name: string, value: string): Buffer {
  return headers(1, [...GET_FIELDS, [name, value]]);
}

function without(name: string): [string, string][] {
  return GET_FIELDS.filter(([one]) => one !== name).map(([one, value]) => [one, value]);
}

function change(name: string, value: string): [string, string][] {
  return GET_FIELDS.map(([one, old]) => [one, one === name ? value : old]);
}

const cases: readonly Case[] = [
  // 8.1
  {
    what: "a body shorter than announced",
    bytes: [headers(1, [...POST_FIELDS, ["content-length", "3"]], false), data(1, "ab", true)],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  {
    what: "a body in pieces that is shorter than announced",
    bytes: [
      headers(1, [...POST_FIELDS, ["content-length", "5"]], false),
      data(1, "ab"),
      data(1, "c", true),
    ],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  {
    what: "no body where one is announced",
    bytes: [headers(1, [...POST_FIELDS, ["content-length", "3"]])],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  {
    what: "no body behind trailers where one is announced",
    bytes: [headers(1, [...POST_FIELDS, ["content-length", "3"]], false), headers(1, [["x", "y"]])],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  // 8.2
  {
    what: "a name with a space",
    bytes: [withField("x test", "1")],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  {
    what: "a name with a colon",
    bytes: [withField("x:test", "1")],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  { what: "an empty name", bytes: [withField("", "1")], verdict: `RST ${PROTOCOL_ERROR}` },
  {
    what: "a value with CR LF",
    bytes: [withField("x-test", "1\r\nx: y")],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  {
    what: "a value with LF",
    bytes: [withField("x-test", "1\nx: y")],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  {
    what: "a value with NUL",
    bytes: [withField("x-test", "1\0")],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  {
    what: "a value with a space in front",
    bytes: [withField("x-test", " 1")],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  {
    what: "a value with a tab behind",
    bytes: [withField("x-test", "1\t")],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  {
    what: "CR LF in :path",
    bytes: [headers(1, change(":path", "/a\r\nx: y"))],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  ...["keep-alive", "proxy-connection", "transfer-encoding", "upgrade"].map((name) => ({
    what: name,
    bytes: [withField(name, "chunked")],
    verdict: `RST ${PROTOCOL_ERROR}`,
  })),
  { what: "te: trailers", bytes: [withField("te", "trailers")], verdict: "200" },
  // 8.3
  {
    what: "a :path without a slash",
    bytes: [headers(1, change(":path", "hello-world"))],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  { what: "a :path that climbs", bytes: [headers(1, change(":path", "/../x"))], verdict: "400" },
  { what: "a :path with a space", bytes: [headers(1, change(":path", "/a b"))], verdict: "400" },
  {
    what: "a :method that is no token",
    bytes: [headers(1, change(":method", "GET?"))],
    verdict: "400",
  },
  {
    what: "a :method with a space",
    bytes: [headers(1, change(":method", "GET /x"))],
    verdict: "400",
  },
  { what: "an unknown :method", bytes: [headers(1, change(":method", "BREW"))], verdict: "501" },
  {
    what: "a :scheme that is a URL",
    bytes: [headers(1, change(":scheme", "http://localhost/?"))],
    verdict: "400",
  },
  { what: "no authority at all", bytes: [headers(1, without(":authority"))], verdict: "400" },
  {
    what: "host in its place",
    bytes: [headers(1, [...without(":authority"), ["host", "a.test"]])],
    verdict: "200",
  },
  {
    what: "an authority with a user",
    bytes: [headers(1, change(":authority", "u@a.test"))],
    verdict: "400",
  },
  {
    what: "CONNECT",
    bytes: [
      headers(1, [
        [":method", "CONNECT"],
        [":authority", "a.test:443"],
      ]),
    ],
    verdict: "405",
  },
  {
    what: "CONNECT with a path",
    bytes: [headers(1, change(":method", "CONNECT"))],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  {
    what: ":protocol of GET",
    bytes: [headers(1, [...GET_FIELDS, [":protocol", "websocket"]])],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  {
    what: "an unknown :protocol",
    bytes: [headers(1, [...change(":method", "CONNECT"), [":protocol", "x"]], false)],
    verdict: "501",
  },
  {
    what: "two Content-Length",
    bytes: [headers(1, [...POST_FIELDS, ["content-length", "1"], ["content-length", "1"]], false)],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  {
    what: "Content-Length with a sign",
    bytes: [headers(1, [...POST_FIELDS, ["content-length", "+1"]], false)],
    verdict: `RST ${PROTOCOL_ERROR}`,
  },
  {
    what: "an unknown expectation",
    bytes: [headers(1, [...POST_FIELDS, ["expect", "x"]], false)],
    verdict: "417",
  },
  {
    what: "more fields than allowed",
    bytes: [
      headers(1, [
        ...GET_FIELDS,
        ...Array.from({ length: 200 }, (): [string, string] => ["a", "b"]),
      ]),
    ],
    verdict: "431",
  },
  {
    what: "fields larger than allowed",
    bytes: [
      headers(1, [...GET_FIELDS, ["a", "b".repeat(8_000)], ["a", "b".repeat(8_000)]]),
      frame(0x1, 0x1, 3, block([...GET_FIELDS, ["a", "b".repeat(16_000)]])),
      frame(0x9, 0x4, 3, block([["a", "b".repeat(10_000)]])),
    ],
    verdict: "431",
    stream: 3,
  },
  {
    what: "a target longer than allowed",
    bytes: [headers(1, change(":path", `/${"x".repeat(9_000)}`))],
    verdict: "414",
  },
];

judge("Http2Front answers requests that break a rule:", cases);
