// What the lane reads of a head against what Node's parser and the checks behind it read of the same bytes.

import assert from "node:assert/strict";
import http from "node:http";
import { Duplex } from "node:stream";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { HttpError } from "../../../worker/http/exchange.ts";
import { parseAuthority } from "../../../worker/http/host.ts";
import { READY_FIELDS } from "../../../worker/http/lane-fields.ts";
import { LaneHead } from "../../../worker/http/lane-head.ts";
import { readHead, type RequestHead } from "../../../worker/http/request-head.ts";
import { defaultRequestLimits } from "../../../worker/limits.ts";

const NEXT = Buffer.from("GET /next HTTP/1.1\r\nHost: next\r\n\r\n");
const RUNS = Number(process.env["LANE_FUZZ_RUNS"] ?? 4_000);

type Seen = {
  readonly head: RequestHead | HttpError;
  readonly keepsAlive: boolean;
  readonly values: ReadonlyMap<string, string>;
};

/** Reads bytes as the slow path does; requests in order, up to the first fault. */
type SlowReader = (bytes: Buffer) => Promise<Seen[]>;

function createSlowReader(t: TestContext): SlowReader {
  const server = http.createServer({ requireHostHeader: false, maxHeaderSize: 16 * 1024 });
  let seen: Seen[] = [];
  server.on("request", (request, response) => {
    const { rawHeaders } = request;
    const values = new Map<string, string>();
    for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
      const name = rawHeaders[at]?.toLowerCase() ?? "";
      const value = rawHeaders[at + 1] ?? "";
      const before = values.get(name);
      values.set(name, before === undefined ? value : `${before}, ${value}`);
    }
    seen.push({
      head: readHead(request, defaultRequestLimits),
      keepsAlive: response.shouldKeepAlive,
      values,
    });
    response.end();
  });
  server.on("clientError", () => {});
  server.emit("listening");
  t.after(() => {
    server.close();
  });
  return async (bytes) => {
    seen = [];
    const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    stream.on("error", () => {});
    server.emit("connection", stream);
    stream.push(bytes);
    for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
    stream.destroy();
    return seen;
  };
}

const lane = (): LaneHead => new LaneHead(defaultRequestLimits);

/** So often it is read before it is looked at: by then what the lane remembers of it has taken the place of reading. */
const READINGS = 3;

/** Whether the lane takes it; then the slow path must have read the same. */
async function compare(read: SlowReader, head: LaneHead, bytes: Buffer): Promise<boolean> {
  const verdict = lane().parse(bytes, 0);
  for (let reading = 0; reading < READINGS; reading += 1)
    assert.equal(head.parse(bytes, 0), verdict, `reading ${reading}`);
  // The connection looks at the host, once for each that it meets.
  if (head.parse(bytes, 0) !== "whole" || !parseAuthority(head.host)) return false;
  const seen = await read(Buffer.concat([bytes.subarray(0, head.end), NEXT]));
  const [first, second] = seen;
  assert.ok(first && !(first.head instanceof HttpError), "the slow path refuses it");
  const { method, path, query, target, authority, bodyBytes, expectsContinue } = first.head;
  assert.deepEqual(
    [head.method, head.path, head.query, head.target, head.host],
    [method, path, query, target, authority?.text ?? first.values.get("host")],
  );
  assert.deepEqual([bodyBytes, expectsContinue], [0, false]);
  for (const name of READY_FIELDS) assert.equal(head.header(name), first.values.get(name), name);
  assert.equal(head.closes, !first.keepsAlive);
  // The next one begins where the lane says, unless this was the last.
  if (first.keepsAlive) assert.equal((second?.head as RequestHead | undefined)?.path, "/next");
  return true;
}

/** Right nine times out of ten, so that many heads are right as a whole. */
function mostly(right: string, ...wrong: string[]): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 9 * wrong.length, arbitrary: fc.constant(right) },
    ...wrong.map((text) => ({ weight: 1, arbitrary: fc.constant(text) })),
  );
}

const CRLF = mostly("\r\n", "\n", "\r", "\r\r\n", "\n\r");
const METHOD = mostly("GET", "HEAD", "HEAD", "POST", "get", "G", "OPTIONS", "");
const TARGET = fc.oneof(
  fc.constantFrom("/", "/a", "/a/b?c=d", "//x", "/./a", "/../a", "/a/..", "/%41", "/%", "/%2e%2e/"),
  fc.constantFrom("*", "http://h/a", "/a#b", "/a?b#c", "/a?%zz", "/?", "/a%00", "/\xe9", "/a|b"),
  fc.stringMatching(/^\/[ -~]{0,12}$/),
);
const VERSION = mostly("HTTP/1.1", "HTTP/1.0", "HTTP/1.0", "HTTP/1.2", "http/1.1", "HTTP/1.1 ");
const NAME = fc.oneof(
  fc.constantFrom(...READY_FIELDS, "User-Agent", "IF-NONE-MATCH", "X-Foo", "Cookie", "__proto__"),
  fc.constantFrom("Content-Length", "Transfer-Encoding", "Expect", "Upgrade", "Proxy-Connection"),
  fc.constantFrom(
    "Keep-Alive",
    "TE",
    "Trailer",
    "HTTP2-Settings",
    "Content_Length",
    "a b",
    "",
    "\t",
  ),
  fc.stringMatching(/^[!-~]{1,6}$/),
);
const VALUE = fc.oneof(
  fc.constantFrom(
    "",
    "h",
    "keep-alive",
    "close",
    "Close",
    "Keep-Alive, TE",
    "0",
    "chunked",
    "100-continue",
  ),
  fc.constantFrom(
    '"x"',
    "gzip, br",
    "bytes=0-1",
    "websocket",
    "a\tb",
    "\xe9\xff",
    "a\x7f",
    "a\x01",
    "a\r\n b",
  ),
  fc.stringMatching(/^[ -~]{0,10}$/),
);
const SPACE = fc.constantFrom("", " ", "  ", "\t", " \t ");
const FIELD = fc
  .tuple(NAME, mostly(":", " :", ""), SPACE, VALUE, SPACE, CRLF)
  .map((parts) => parts.join(""));
const HOST = mostly("Host: h\r\n", "hOST:\th:80 \r\n", "Host: h h\r\n", "");
const HEAD = fc
  .tuple(
    METHOD,
    fc.constantFrom(" ", " ", " ", "  ", "\t"),
    TARGET,
    fc.constantFrom(" ", " ", "  "),
  )
  .chain((line) =>
    fc
      .tuple(VERSION, CRLF, HOST, fc.array(FIELD, { maxLength: 5 }), CRLF)
      .map(([version, end, host, fields, last]) =>
        [...line, version, end, host, ...fields, last].join(""),
      ),
  );
/** Heads that are right, to be damaged in one place. */
const GOOD = fc
  .array(
    fc.constantFrom(
      "Connection: close\r\n",
      "Connection: Keep-Alive\r\n",
      "Referer:  a \r\n",
      "Range: bytes=0-\r\n",

      "Accept-Encoding: gzip, deflate, br\r\n",
      'If-None-Match: "a", W/"b"\r\n',
      "Cookie: a=b; c=d\r\n",
    ),
    { maxLength: 6 },
  )
  .map((fields) => `GET /a/b.html?x=%20y HTTP/1.1\r\nHost: h:80\r\n${fields.join("")}\r\n`);
const DAMAGE = fc.tuple(
  fc.nat(),
  fc.constantFrom("insert", "replace", "remove", "double"),
  fc.oneof(fc.constantFrom(0, 9, 10, 11, 13, 32, 35, 37, 44, 58, 127, 128, 255), fc.nat(255)),
);

function damage(text: string, [place, how, byte]: [number, string, number]): Buffer {
  const bytes = Buffer.from(text, "latin1");
  const at = place % bytes.length;
  const before = bytes.subarray(0, at);
  const own = Buffer.from([byte]);
  switch (how) {
    case "insert":
      return Buffer.concat([before, own, bytes.subarray(at)]);
    case "replace":
      return Buffer.concat([before, own, bytes.subarray(at + 1)]);
    case "remove":
      return Buffer.concat([before, bytes.subarray(at + 1)]);
    default:
      return Buffer.concat([before, bytes.subarray(at, at + 1), bytes.subarray(at)]);
  }
}

test("LaneHead reads heads as Node's parser does, or leaves them to it", async (t) => {
  const read = createSlowReader(t);
  const head = lane();
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(HEAD, async (text) => {
      if (await compare(read, head, Buffer.from(text, "latin1"))) taken += 1;
    }),
    { numRuns: RUNS },
  );
  assert.ok(taken > RUNS / 100, `only ${taken} heads were taken`);
});

test("LaneHead takes no head with one wrong byte that Node's parser reads otherwise", async (t) => {
  const read = createSlowReader(t);
  const head = lane();
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(GOOD, DAMAGE, async (text, how) => {
      if (await compare(read, head, damage(text, how))) taken += 1;
    }),
    { numRuns: RUNS },
  );
  assert.ok(taken > RUNS / 10, `only ${taken} heads were taken`);
});

test("LaneHead takes what browsers and tools send", async (t) => {
  const read = createSlowReader(t);
  const head = lane();
  const heads = [
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "HEAD /a%20b/c.html?q=%zz&r=? HTTP/1.1\r\nhost:h\r\nconnection: CLOSE\r\n\r\n",
    "GET /x HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nAccept: */*\r\nTE: trailers\r\n\r\n",
    "GET /x HTTP/1.0\r\nHost: h\r\nUser-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n",
    `GET /a/./b//c/../d HTTP/1.1\r\nHost: [::1]:80\r\nCookie: ${"a=b; ".repeat(400)}\r\n\r\n`,
    'GET / HTTP/1.1\r\nHost: h\r\nsec-ch-ua: "Chromium";v="140"\r\nX-\xc3: é\r\n\r\n'.replace(
      "X-\xc3",
      "X",
    ),
  ];
  for (const text of heads) assert.ok(await compare(read, head, Buffer.from(text, "latin1")), text);
});

test("LaneHead waits for every prefix of a head, and takes it where it ends", () => {
  const bytes = Buffer.from(`GET /a?b HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n${NEXT.toString()}`);
  const whole = bytes.length - NEXT.length;
  for (let end = 0; end < whole; end += 1)
    assert.equal(lane().parse(bytes.subarray(0, end), 0), "partial", String(end));
  const head = lane();
  assert.equal(head.parse(bytes, 0), "whole");
  assert.equal(head.end, whole);
  assert.equal(head.parse(bytes, whole), "whole");
  assert.deepEqual(
    [head.path, head.query, head.host, head.end],
    ["/next", undefined, "next", bytes.length],
  );
});

test("LaneHead leaves long heads, many fields and whatever comes near a limit to Node's parser", () => {
  const long = `GET / HTTP/1.1\r\nHost: h\r\nA: ${"a".repeat(9_000)}`;
  assert.equal(lane().parse(Buffer.from(long), 0), "foreign");
  const many = `GET / HTTP/1.1\r\nHost: h\r\n${"a: b\r\n".repeat(150)}\r\n`;
  assert.equal(lane().parse(Buffer.from(many), 0), "foreign");
  const small = new LaneHead({
    maxHeaderBytes: 1024,
    maxHeaderFields: 2,
    maxTargetBytes: 10,
    maxRequests: 1,
  });
  const verdicts = [
    `GET /${"a".repeat(10)} HTTP/1.1\r\nHost: h\r\n\r\n`,
    "GET / HTTP/1.1\r\nHost: h\r\na: b\r\nc: d\r\n\r\n",
    `GET / HTTP/1.1\r\nHost: h\r\na: ${"b".repeat(900)}\r\n\r\n`,
    "GET /123456789 HTTP/1.1\r\nHost: h\r\na: b\r\n\r\n",
  ].map((text) => small.parse(Buffer.from(text), 0));
  assert.deepEqual(verdicts, ["foreign", "foreign", "foreign", "whole"]);
});

test("LaneHead knows fields and lines again, and tells those that differ in a byte", () => {
  const head = lane();
  const request = (path: string, agent: string, more = ""): string =>
    `GET ${path} HTTP/1.1\r\nHost: h\r\nUser-Agent: ${agent}\r\n${more}\r\n`;
  const long = "x".repeat(300);
  const texts = ["/a", "/b"].flatMap((path) =>
    ["one", "two", `${long}1`, `${long}2`].map((agent) => [path, agent] as const),
  );
  for (let round = 0; round < 4; round += 1)
    for (const [path, agent] of texts) {
      // With the beginning of another one behind it, as when requests come together.
      const bytes = Buffer.from(request(path, agent) + (round === 3 ? "GET /" : ""));
      assert.equal(head.parse(bytes, 0), "whole");
      assert.deepEqual([head.path, head.userAgent], [path, agent]);
      assert.equal(head.requestLine, `GET ${path} HTTP/1.1`);
      if (round < 3) continue;
      assert.equal(head.parse(bytes, head.end), "partial");
    }
});

test("LaneHead gives fields that came before as one object, but not those with a secret", () => {
  const head = lane();
  const fieldsOf = (more: string, method = "GET"): (object | undefined)[] =>
    Array.from({ length: 3 }, () => {
      const bytes = Buffer.from(`${method} / HTTP/1.1\r\nHost: h\r\n${more}\r\n`);
      assert.equal(head.parse(bytes, 0), "whole");
      return head.fields;
    });
  const [first, second, third] = fieldsOf("Accept: */*\r\n");
  assert.equal(first, undefined);
  assert.ok(second);
  assert.equal(third, second);
  assert.equal(fieldsOf("Accept: */*\r\n", "HEAD")[0], second);
  for (const field of ["Cookie: a=b", "AUTHORIZATION: Basic x", "Proxy-Authorization: x"])
    assert.deepEqual(fieldsOf(`${field}\r\n`), [undefined, undefined, undefined]);
  // Nor a line with a query; its text is right each time.
  for (const query of ["a=1", "a=2", "a=2", "a=2"]) {
    head.parse(Buffer.from(`GET /?${query} HTTP/1.1\r\nHost: h\r\n\r\n`), 0);
    assert.equal(head.query, query);
  }
});
