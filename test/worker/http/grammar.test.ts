// What is a request and what is not: bytes in, status out. Every refusal ends the connection, and nothing behind it is answered.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startSite, type TestSite } from "../../helpers/site.ts";
import {
  connect,
  countStatusLines,
  exchangeBytes,
  parseReplies,
  statusOf,
} from "../../helpers/wire.ts";

const HOST = "Host: h\r\n";
const CHUNKED = "Transfer-Encoding: chunked\r\n";
/** Would be answered if anything behind a refusal were. */
const NEXT = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";

function post(lines: string, body = ""): string {
  return `POST / HTTP/1.1\r\n${HOST}${lines}\r\n${body}`;
}

function fields(lines: string): string {
  return `GET / HTTP/1.1\r\n${HOST}${lines}\r\n`;
}

function hosts(...lines: string[]): string {
  return `GET / HTTP/1.1\r\n${lines.map((line) => `Host:${line}\r\n`).join("")}\r\n`;
}

const REFUSED: readonly (readonly [
  name: string,
  bytes: string,
  status: number | readonly number[],
])[] = [
  ["no host", hosts(), 400],
  ["two equal hosts", hosts(" h", " h"), 400],
  ["two hosts", hosts(" h", " i"), 400],
  ["empty host", hosts(""), 400],
  ["list of hosts", hosts(" a, b"), 400],
  ["userinfo", hosts(" u@h"), 400],
  ["path in host", hosts(" h/p"), 400],
  ["port too large", hosts(" h:99999"), 400],
  ["two ports", hosts(" h:80:80"), 400],
  ["open bracket", hosts(" [::1"), 400],
  ["empty labels", hosts(" ..h"), 400],
  ["control in host", hosts(" h\x02"), 400],
  ["byte in host", hosts(" h\xa0"), 400],
  ["bad host in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400],
  ["bad authority of the target", `GET http://u@h/ HTTP/1.1\r\n${HOST}\r\n`, 400],

  ["space before the colon", fields("A : b\r\n"), 400],
  ["space before the first field", `GET / HTTP/1.1\r\n ${HOST}\r\n`, 400],
  ["obs-fold", fields("A: b\r\n c\r\n"), 400],
  ["no colon", fields("A\r\n"), 400],
  ["no name", fields(": v\r\n"), 400],
  ["bracket in a name", fields("Na[me: v\r\n"), 400],
  ["byte in a name", fields("N\xe9: v\r\n"), 400],
  ["NUL in a value", fields("A: b\x00c\r\n"), 400],
  ["CR in a value", fields("A: b\rc\r\n"), 400],
  ["LF in a value", fields("A: b\nc\r\n"), 400],
  ["control in a value", fields("A: b\x01c\r\n"), 400],
  ["DEL in a value", fields("A: b\x7fc\r\n"), 400],
  ["bare LF behind the request line", `GET / HTTP/1.1\n${HOST}\r\n`, 400],
  ["bare LF behind a field", "GET / HTTP/1.1\r\nHost: h\n\r\n", 400],
  ["bare CR behind the request line", `GET / HTTP/1.1\r${HOST}\r\n`, 400],

  ["HTTP/9.9", `GET / HTTP/9.9\r\n${HOST}\r\n`, 400],
  ["HTTP/2.0", `GET / HTTP/2.0\r\n${HOST}\r\n`, 505],
  ["HTTP/1", `GET / HTTP/1\r\n${HOST}\r\n`, 400],
  ["HTTP/01.01", `GET / HTTP/01.01\r\n${HOST}\r\n`, 400],
  ["HTTP/ 1.1", `GET / HTTP/ 1.1\r\n${HOST}\r\n`, 400],
  ["http/1.1", `GET / http/1.1\r\n${HOST}\r\n`, 400],
  ["HTTP/1.11", `GET / HTTP/1.11\r\n${HOST}\r\n`, 400],
  ["HTTP/0.9", "GET /\r\n\r\n", 505],
  ["tab for a space", `GET\t/ HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["a word too many", `GET / x HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["space first", ` GET / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["NUL in the method", `G\0ET / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["no token", `G=":<> / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["lower case", `get / HTTP/1.1\r\n${HOST}\r\n`, 501],
  ["unknown method", `FROBNICATE / HTTP/1.1\r\n${HOST}\r\n`, 501],
  ["method of 100 KB", `${"A".repeat(100_000)} / HTTP/1.1\r\n${HOST}\r\n`, 400],

  ["GET *", `GET * HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["CONNECT h:80", `CONNECT h:80 HTTP/1.1\r\n${HOST}\r\n`, 405],
  ["CONNECT /", `CONNECT / HTTP/1.1\r\n${HOST}\r\n`, [400, 405]],
  ["no slash", `GET index.html HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["query only", `GET ?x HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["file:", `GET file:///etc/passwd HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["fragment", `GET /f#frag HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["NUL escape", `GET /a%00 HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["climb", `GET /../etc/passwd HTTP/1.1\r\n${HOST}\r\n`, 400],

  ...[
    "abc",
    "-1",
    "-0",
    "+5",
    "0x5",
    "0o5",
    "1_0",
    "5 5",
    "5, 6",
    "5, 5",
    "5;",
    "",
    "005",
    "99999999999999999999",
  ].map(
    (length) =>
      [`Content-Length "${length}"`, post(`Content-Length: ${length}\r\n`, "hello"), 400] as const,
  ),
  ["two lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400],
  ["two equal lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400],
  ["length, then chunks", post(`Content-Length: 5\r\n${CHUNKED}`, "0\r\n\r\n"), 400],
  ["chunks, then length", post(`${CHUNKED}Content-Length: 5\r\n`, "0\r\n\r\n"), 400],
  ...[
    "gzip",
    "xchunked",
    "chunked, gzip",
    "gzip, chunked",
    "chunked, chunked",
    "identity",
    "",
    "\x0bchunked",
    "chunked\x00",
    ",chunked",
    "chunked;q=1",
    "\r\n chunked",
  ].map(
    (coding) =>
      [
        `coding ${JSON.stringify(coding)}`,
        post(`Transfer-Encoding: ${coding}\r\n`, "0\r\n\r\n"),
        400,
      ] as const,
  ),
  ["length in trailers", post(CHUNKED, "0\r\nContent-Length: 9\r\n\r\n"), 400],
  ["two codings", post(CHUNKED + CHUNKED, "0\r\n\r\n"), 400],
  ["chunks in HTTP/1.0", `POST / HTTP/1.0\r\n${HOST}${CHUNKED}\r\n0\r\n\r\n`, 400],

  ...[
    "0x5\r\nhello",
    "+5\r\nhello",
    "-1\r\nhello",
    "5_0\r\nhello",
    " 5\r\nhello",
    "5 \r\nhello",
    "FFFFFFFFFFFFFFFF0\r\nhello",
    "\r\nhello",
    "5\nhello",
    "5;a\rhello",
    "5\r\nhelloXX",
    "5\r\nhello0\r\n\r\n",
    "6\r\nhello\r\n",
  ].map(
    (body) =>
      [`chunk ${JSON.stringify(body)}`, post(CHUNKED, `${body}\r\n0\r\n\r\n`), 400] as const,
  ),
  [
    "chunk extension of 64 KiB",
    post(CHUNKED, `5;${"a".repeat(65_536)}\r\nhello\r\n0\r\n\r\n`),
    [400, 413],
  ],

  ["unknown expectation", fields("Expect: foo\r\n"), 417],
  ["two expectations", fields("Expect: 100-continue\r\nExpect: foo\r\n"), 417],
  ["target of 9 KB", `GET /${"a".repeat(9_000)} HTTP/1.1\r\n${HOST}\r\n`, 414],
  ["target of 100 KB", `GET /${"a".repeat(100_000)} HTTP/1.1\r\n${HOST}\r\n`, 414],
  ["value of 100 KB", fields(`A: ${"a".repeat(100_000)}\r\n`), 431],
  ["name of 100 KB", fields(`${"a".repeat(100_000)}: a\r\n`), 431],
  ["10,000 fields", fields("a: b\r\n".repeat(10_000)), 431],
  ["201 fields", fields("a: b\r\n".repeat(200)), 431],
  ["cookie of 64 KB", fields(`Cookie: ${"a=b; ".repeat(13_000)}\r\n`), 431],
  ["ClientHello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
  ["HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
  ["garbage", "\x00\xff\x80\x00\x01\x02\r\n\r\n", 400],
];

const TAKEN: readonly (readonly [name: string, bytes: string])[] = [
  ["200 fields", fields("a: b\r\n".repeat(199))],
  ["tab around a value", "GET / HTTP/1.1\r\nhoSt:\th\t\r\n\r\n"],
  ["tab in a value", fields("A: b\tc\r\n")],
  ["bytes in a value", fields("A: \xe9\xff\r\n")],
  ["cookie of 1,000 pairs", fields(`Cookie: ${"a=b; ".repeat(1_000)}\r\n`)],
  [
    "names of Object.prototype",
    fields("__proto__: a\r\nconstructor: b\r\ntoString: c\r\nhasOwnProperty: d\r\n"),
  ],
  ["underscored framing", fields("Content_Length: 3\r\nTransfer_Encoding: chunked\r\n")],
  ["absolute target", `GET http://other/ HTTP/1.1\r\n${HOST}\r\n`],
  ["CRLF first", `\r\n\r\nGET / HTTP/1.1\r\n${HOST}\r\n`],
  ["port without digits", hosts(" h:")],
  ["HTTP/1.0 without a host", "GET / HTTP/1.0\r\n\r\n"],
  ["expectation in HTTP/1.0", "GET / HTTP/1.0\r\nExpect: foo\r\n\r\n"],
  ["chunks", post(CHUNKED, "5\r\nhello\r\n0\r\n\r\n")],
  ["chunk with an extension", post(CHUNKED, '5;a=b;c="d"\r\nhello\r\n0\r\n\r\n')],
  ["trailers", post(CHUNKED, "5\r\nhello\r\n0\r\nHost: other\r\nX: y\r\n\r\n")],
  ["length with spaces around", post("Content-Length:  5  \r\n", "hello")],
  ["upgrade to something else", fields("Connection: upgrade\r\nUpgrade: h2c\r\n")],
  ["websocket without Connection", fields("Upgrade: websocket\r\n")],
  ["websocket by POST", post("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n")],
  [
    "websocket in HTTP/1.0",
    "GET / HTTP/1.0\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
  ],
];

/** Answers with what it was asked, after the whole body. */
async function startEcho(t: Parameters<typeof startSite>[0]): Promise<TestSite> {
  return startSite(t, {
    vhosts: [
      {
        name: "h",
        mounts: [
          {
            mountpoint: "/",
            async handle(exchange) {
              let body = "";
              for await (const chunk of exchange.body) body += String(chunk);
              exchange.send(200, [], `${exchange.path} ${exchange.host} ${body}`);
            },
          },
        ],
      },
    ],
  });
}

for (const [name, bytes, status] of REFUSED)
  test(`Http1Front refuses: ${name}`, async (t) => {
    const site = await startEcho(t);
    const received = await exchangeBytes(site.port, bytes + NEXT);
    const expected = typeof status === "number" ? [status] : status;
    assert.ok(expected.includes(statusOf(received)), received.slice(0, 500));
    assert.equal(countStatusLines(received), 1, received);
    const { replies, rest } = parseReplies(received);
    assert.equal(replies.length, 1);
    assert.equal(rest, "");
    assert.equal(replies[0]?.headers.get("connection"), "close");
    assert.equal(site.front.active, 0);
    assert.equal(site.logged.length, 1);
    const counters = site.counters.vhost("h:80");
    assert.deepEqual([counters.requests, counters.rejected], [1, 1]);
  });

for (const [name, bytes] of TAKEN)
  test(`Http1Front takes: ${name}`, async (t) => {
    const site = await startEcho(t);
    const wire = await connect(site.port);
    wire.write(bytes);
    wire.socket.end();
    const received = await wire.rest();
    assert.equal(statusOf(received), 200, received);
    assert.equal(countStatusLines(received), 1, received);
  });

test("Http1Front waits for the rest of a request, wherever it is cut", async (t) => {
  const site = await startEcho(t);
  const bytes = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
  await Promise.all(
    Array.from({ length: bytes.length - 1 }, async (_, index) => {
      const wire = await connect(site.port);
      wire.write(bytes.slice(0, index + 1));
      await new Promise((resolve) => setImmediate(resolve));
      wire.write(bytes.slice(index + 1));
      const { replies } = parseReplies(await wire.rest());
      assert.deepEqual(
        [replies[0]?.status, replies[0]?.body],
        [200, "/a h hi"],
        `cut at ${index + 1}`,
      );
    }),
  );
});
