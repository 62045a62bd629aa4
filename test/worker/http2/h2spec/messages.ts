// Section 8 of h2spec's "http2": requests that are malformed.

import {
  data,
  frame,
  GET_FIELDS,
  headers,
  number32,
  POST_FIELDS,
} from "../../../helpers/http2-wire.ts";
import type { Case } from "../rules.ts";
import { GET_BLOCK, POST, PROTOCOL_ERROR } from "./build.ts";

const MALFORMED = `RST ${PROTOCOL_ERROR}`;

type Fields = readonly (readonly [name: string, value: string])[];

const malformed = (id: string, what: string, fields: Fields): Case => ({
  ids: [id],
  what,
  bytes: [headers(1, fields)],
  verdict: MALFORMED,
});

const without = (name: string): Fields => GET_FIELDS.filter(([one]) => one !== name);

export const messages: readonly Case[] = [
  {
    ids: ["http2/8.1/1"],
    what: "trailers that do not end the request",
    bytes: [POST, data(1, "test"), headers(1, [["x-end", "1"]], false)],
    verdict: MALFORMED,
  },
  malformed("http2/8.1.2/1", "a name in upper case", [...GET_FIELDS, ["X-TEST", "1"]]),
  malformed("http2/8.1.2.1/1", "an unknown pseudo-field", [...GET_FIELDS, [":test", "1"]]),
  malformed("http2/8.1.2.1/2", "a pseudo-field of answers", [...GET_FIELDS, [":status", "200"]]),
  {
    ids: ["http2/8.1.2.1/3"],
    what: "trailers with a pseudo-field",
    bytes: [POST, data(1, "test"), headers(1, [[":method", "POST"]])],
    verdict: MALFORMED,
  },
  malformed("http2/8.1.2.1/4", "a pseudo-field behind a field", [["x-test", "1"], ...GET_FIELDS]),
  malformed("http2/8.1.2.2/1", "connection", [...GET_FIELDS, ["connection", "keep-alive"]]),
  malformed("http2/8.1.2.2/2", "te: trailers, deflate", [
    ...GET_FIELDS,
    ["trailers", "test"],
    ["te", "trailers, deflate"],
  ]),
  malformed(
    "http2/8.1.2.3/1",
    "an empty :path",
    GET_FIELDS.map(([name, value]) => [name, name === ":path" ? "" : value]),
  ),
  malformed("http2/8.1.2.3/2", "no :method", without(":method")),
  malformed("http2/8.1.2.3/3", "no :scheme", without(":scheme")),
  malformed("http2/8.1.2.3/4", "no :path", without(":path")),
  malformed("http2/8.1.2.3/5", ":method twice", [...GET_FIELDS, [":method", "GET"]]),
  malformed("http2/8.1.2.3/6", ":scheme twice", [...GET_FIELDS, [":scheme", "https"]]),
  malformed("http2/8.1.2.3/7", ":path twice", [...GET_FIELDS, [":path", "/"]]),
  {
    ids: ["http2/8.1.2.6/1"],
    what: "a body longer than announced",
    bytes: [headers(1, [...POST_FIELDS, ["content-length", "1"]], false), data(1, "test", true)],
    verdict: MALFORMED,
  },
  {
    ids: ["http2/8.1.2.6/2"],
    what: "a body in pieces that is longer than announced",
    bytes: [
      headers(1, [...POST_FIELDS, ["content-length", "6"]], false),
      data(1, "test"),
      data(1, "test", true),
    ],
    verdict: MALFORMED,
  },
  {
    ids: ["http2/8.2/1"],
    what: "PUSH_PROMISE",
    bytes: [frame(0x5, 0x4, 1, Buffer.concat([number32(3), GET_BLOCK]))],
    verdict: `GOAWAY ${PROTOCOL_ERROR}`,
  },
];
