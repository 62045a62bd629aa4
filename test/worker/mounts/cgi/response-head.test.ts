import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import {
  CgiHeadReader,
  CgiOutputError,
  MAX_HEAD_BYTES,
  MAX_HEAD_FIELDS,
  type CgiHead,
} from "../../../../worker/mounts/cgi/response-head.ts";

type Read = { readonly head: CgiHead; readonly rest: string };

function read(pieces: readonly Buffer[]): Read | undefined {
  const reader = new CgiHeadReader();
  for (const [index, piece] of pieces.entries()) {
    const found = reader.push(piece);
    if (!found) continue;
    const rest = Buffer.concat([found.rest, ...pieces.slice(index + 1)]);
    return { head: found.head, rest: rest.toString("latin1") };
  }
  return undefined;
}

const whole = (text: string): Read | undefined => read([Buffer.from(text, "latin1")]);

const plain = ["Content-Type", "text/plain"] as const;
const good: readonly (readonly [what: string, output: string, head: CgiHead, rest?: string])[] = [
  [
    "CRLF lines",
    "Content-Type: text/plain\r\n\r\nbody",
    { status: 200, headers: [plain], bodyBytes: undefined, hasContentType: true },
    "body",
  ],
  [
    "LF lines",
    "Content-Type: text/plain\n\nbody\n",
    { status: 200, headers: [plain], bodyBytes: undefined, hasContentType: true },
    "body\n",
  ],
  [
    "line ends mixed, no space behind the colon, space at the end",
    "Content-Type:text/plain \t\r\nX-A: b c\n\r\n",
    { status: 200, headers: [plain, ["X-A", "b c"]], bodyBytes: undefined, hasContentType: true },
  ],
  [
    "a Status with a reason",
    "Status: 418 I'm a teapot\nContent-Type: text/plain\n\n",
    { status: 418, headers: [plain], bodyBytes: undefined, hasContentType: true },
  ],
  [
    "a Status without a reason, names in any case",
    "STATUS: 204\nx-y: 1\n\n",
    { status: 204, headers: [["x-y", "1"]], bodyBytes: undefined, hasContentType: false },
  ],
  [
    "an absolute Location",
    "Location: http://example.com/\n\n",
    {
      status: 302,
      headers: [["Location", "http://example.com/"]],
      bodyBytes: undefined,
      hasContentType: false,
    },
  ],
  [
    "a local Location",
    "Location: /elsewhere?x=1\n\n",
    {
      status: 302,
      headers: [["Location", "/elsewhere?x=1"]],
      bodyBytes: undefined,
      hasContentType: false,
      localRedirect: "/elsewhere?x=1",
    },
  ],
  [
    "a Location with a Status",
    "Location: http://example.com/\nStatus: 301 Moved\nContent-Type: text/plain\n\ngone",
    {
      status: 301,
      headers: [["Location", "http://example.com/"], plain],
      bodyBytes: undefined,
      hasContentType: true,
    },
    "gone",
  ],
  [
    "fields of the connection and of the server",
    [
      "Connection: close",
      "Keep-Alive: timeout=5",
      "Transfer-Encoding: chunked",
      "TE: trailers",
      "Trailer: X",
      "Upgrade: h2c",
      "Proxy-Authenticate: Basic",
      "Proxy-Connection: close",
      "Date: now",
      "Server: x",
      "Content-Type: text/plain",
      "",
      "",
    ].join("\r\n"),
    { status: 200, headers: [plain], bodyBytes: undefined, hasContentType: true },
  ],
  [
    "Content-Length apart, several Set-Cookie kept in order",
    "Set-Cookie: a=1\nContent-Length: 3\nContent-Type: text/plain\nSet-Cookie: b=2\n\nabc",
    {
      status: 200,
      headers: [["Set-Cookie", "a=1"], plain, ["Set-Cookie", "b=2"]],
      bodyBytes: 3,
      hasContentType: true,
    },
    "abc",
  ],
  [
    "bytes over 127 and tabs in values, an empty value",
    "X-Name: caf\xc3\xa9\tau lait\nX-Empty:\n\n",
    {
      status: 200,
      headers: [
        ["X-Name", "caf\xc3\xa9\tau lait"],
        ["X-Empty", ""],
      ],
      bodyBytes: undefined,
      hasContentType: false,
    },
  ],
  [
    "an empty Content-Type as none",
    "Content-Type:\n\n",
    { status: 200, headers: [], bodyBytes: undefined, hasContentType: false },
  ],
  [
    "a body that looks like another head",
    "Content-Type: text/plain\n\nStatus: 500\n\n",
    { status: 200, headers: [plain], bodyBytes: undefined, hasContentType: true },
    "Status: 500\n\n",
  ],
];

const bad: readonly (readonly [what: string, output: string])[] = [
  ["no field at all", "\n<html>"],
  ["no field at all, CRLF", "\r\n"],
  ["text instead of a head", "Hello, world\n\n"],
  ["the status line of a whole response", "HTTP/1.1 200 OK\nContent-Type: text/plain\n\n"],
  ["an empty name", ": x\n\n"],
  ["a space in the name", "X Y: x\n\n"],
  ["a space before the colon", "Content-Length : 5\n\n"],
  ["a byte over 127 in the name", "X-\xe9: x\n\n"],
  ["a folded line", "X-A: b\n c\n\n"],
  ["a folded line, tab", "X-A: b\r\n\tc\r\n\r\n"],
  ["a CR inside a value", "X-A: b\rSet-Cookie: evil=1\n\n"],
  ["a NUL inside a value", "X-A: b\0c\n\n"],
  ["an escape inside a value", "X-A: \x1b[31m\n\n"],
  ["a DEL inside a value", "X-A: \x7f\n\n"],
  ["two CRs before the LF", "X-A: b\r\r\n\r\n"],
  ["a Status that is no number", "Status: abc\n\n"],
  ["a Status of two digits", "Status: 20\n\n"],
  ["a Status of four digits", "Status: 2000\n\n"],
  ["a Status glued to its reason", "Status: 200OK\n\n"],
  ["an interim Status", "Status: 101 Switching Protocols\n\n"],
  ["a Status beyond 599", "Status: 600\n\n"],
  ["an empty Status", "Status:\n\n"],
  ["two of Status", "Status: 200\nStatus: 404\n\n"],
  ["two of Content-Type", "Content-Type: text/plain\nContent-Type: text/html\n\n"],
  ["two of Content-Length", "Content-Length: 5\nContent-Length: 5\n\n"],
  ["two of Location", "Location: /a\nLocation: /b\n\n"],
  ["an empty Location", "Location:\n\n"],
  ["a negative Content-Length", "Content-Length: -1\n\n"],
  ["a signed Content-Length", "Content-Length: +1\n\n"],
  ["a hexadecimal Content-Length", "Content-Length: 0x10\n\n"],
  ["a list as Content-Length", "Content-Length: 5, 5\n\n"],
  ["an empty Content-Length", "Content-Length:\n\n"],
  ["a Content-Length beyond exact numbers", "Content-Length: 9007199254740993\n\n"],
];

/** `output` cut at arbitrary places. */
function cut(output: string, places: readonly number[]): Buffer[] {
  const bytes = Buffer.from(output, "latin1");
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1)))].toSorted(
    (a, b) => a - b,
  );
  return [0, ...ends].map((start, index) => bytes.subarray(start, ends[index] ?? bytes.length));
}

const places = fc.array(fc.nat(), { maxLength: 12 });

suite("CgiHeadReader takes", () => {
  for (const [what, output, head, rest = ""] of good)
    test(what, () => {
      assert.deepEqual(whole(output), { head, rest });
      fc.assert(
        fc.property(places, (ends) => {
          assert.deepEqual(read(cut(output, ends)), { head, rest });
        }),
      );
    });
});

suite("CgiHeadReader refuses", () => {
  for (const [what, output] of bad)
    test(what, () => {
      assert.throws(() => whole(output), CgiOutputError);
      fc.assert(
        fc.property(places, (ends) => {
          assert.throws(() => read(cut(output, ends)), CgiOutputError);
        }),
      );
    });
});

/** A head of so many bytes. */
const head = (bytes: number): string => `X: ${"a".repeat(bytes - 5)}\n\n`;
const fields = (count: number): string => `${"X-A: b\n".repeat(count)}\n`;

test("CgiHeadReader waits for the empty line", () => {
  for (const output of ["", "Content-Type", "Content-Type: text/plain\r\n", "X: y\r\n\r"])
    assert.equal(whole(output), undefined);
});

test("CgiHeadReader takes a head of exactly the limit and refuses one byte more, however it is cut", () => {
  assert.equal(head(MAX_HEAD_BYTES).length, MAX_HEAD_BYTES);
  for (const pieceBytes of [1_000, 4_096, MAX_HEAD_BYTES * 2]) {
    const pieces = (text: string): Buffer[] =>
      cut(
        text,
        Array.from(
          { length: Math.floor(text.length / pieceBytes) },
          (_, index) => (index + 1) * pieceBytes,
        ),
      );
    assert.equal(read(pieces(head(MAX_HEAD_BYTES)))?.head.status, 200);
    assert.throws(() => read(pieces(head(MAX_HEAD_BYTES + 1))), CgiOutputError);
    // Without any line end there is nothing to wait for either.
    assert.throws(() => read(pieces("a".repeat(MAX_HEAD_BYTES + 1))), CgiOutputError);
  }
});

test("CgiHeadReader counts fields", () => {
  assert.equal(whole(fields(MAX_HEAD_FIELDS))?.head.headers.length, MAX_HEAD_FIELDS);
  assert.throws(() => whole(fields(MAX_HEAD_FIELDS + 1)), CgiOutputError);
});

test("CgiHeadReader lets through nothing that could end a line", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
      const output = Buffer.concat([Buffer.from("X-A: "), noise, Buffer.from("\n\nbody")]);
      try {
        for (const [name, value] of read([output])?.head.headers ?? [])
          // oxlint-disable-next-line no-control-regex
          assert.doesNotMatch(name + value, /[\u0000-\u0008\u000a-\u001f\u007f]/);
      } catch (error) {
        if (!(error instanceof CgiOutputError)) throw error;
      }
    }),
  );
});
