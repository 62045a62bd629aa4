// What is a request and what is not: bytes, and the status that is right. Where a second status is named the specification
// allows it, and the first is preferred.

export type RefusedCase = readonly [
  name: string,
  bytes: string,
  status: number | readonly number[],
];

const HOST = "Host: h\r\n";
const CHUNKED = "Transfer-Encoding: chunked\r\n";
/** Would be answered if anything behind a refusal were. */
export const next = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";

function post(lines: string, body = ""): string {
  return `POST / HTTP/1.1\r\n${HOST}${lines}\r\n${body}`;
}

function fields(lines: string): string {
  return `GET / HTTP/1.1\r\n${HOST}${lines}\r\n`;
}

function hosts(...lines: string[]): string {
  return `GET / HTTP/1.1\r\n${lines.map((line) => `Host:${line}\r\n`).join("")}\r\n`;
}

export const refused: readonly RefusedCase[] = [
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

  // Request line.
  ["carriage return too many", `GET / HTTP/1.1\r\r\n${HOST}\r\n`, 400],
  ["space behind the version", `GET / HTTP/1.1 \r\n${HOST}\r\n`, 400],
  ["tab behind the version", `GET / HTTP/1.1\t\r\n${HOST}\r\n`, 400],
  ["letter behind the version", `GET / HTTP/1.1x\r\n${HOST}\r\n`, 400],
  ["space in the target", `GET /a b HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["no space before the target", `GET/ HTTP/1.1\r\n${HOST}\r\n`, [400, 501]],
  ["no target", `GET HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["empty target", `GET  HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["no version number", `GET / HTTP\r\n${HOST}\r\n`, 400],
  ["no minor version", `GET / HTTP/1.\r\n${HOST}\r\n`, 400],
  ["comma in the version", `GET / HTTP/1,1\r\n${HOST}\r\n`, 400],
  ["sign in the version", `GET / HTTP/-1.1\r\n${HOST}\r\n`, 400],
  ["HTTPS/1.1", `GET / HTTPS/1.1\r\n${HOST}\r\n`, 400],
  ["HTTP/3.0", `GET / HTTP/3.0\r\n${HOST}\r\n`, [505, 400]],
  ["HTTP/1.2", `GET / HTTP/1.2\r\n${HOST}\r\n`, [505, 400]],
  ["an answer", `HTTP/1.1 200 OK\r\n${HOST}\r\n`, [400, 501]],
  ["capitalised method", `Get / HTTP/1.1\r\n${HOST}\r\n`, [501, 400]],
  ["NUL in the target", `GET /\0 HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["DEL in the target", `GET /\x7f HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["tab in the target", `GET /\t HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["byte in the target", `GET /\xff HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["line feed escaped", `GET /a%0ab HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["carriage return escaped", `GET /a%0Db HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["half an escape", `GET /a%2 HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["no escape", `GET /a%zz HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["climb in escapes", `GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["CONNECT without a port", `CONNECT h HTTP/1.1\r\n${HOST}\r\n`, [400, 405]],
  ["POST *", `POST * HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["https target with userinfo", `GET https://u@h/ HTTP/1.1\r\n${HOST}\r\n`, 400],

  // Fields.
  ["carriage return too many behind a field", "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", 400],
  ["tab before the colon", fields("A\t: b\r\n"), 400],
  ["DEL in a name", fields("A\x7f: b\r\n"), 400],
  ["NUL in a name", fields("A\0: b\r\n"), 400],
  ["parenthesis in a name", fields("A(b): c\r\n"), 400],
  ["comma in a name", fields("A,b: c\r\n"), 400],
  ["quote in a name", fields('A"b: c\r\n'), 400],
  ["space in a name", fields("A b: c\r\n"), 400],
  ["tab before a field", fields("\tA: b\r\n"), 400],
  ["line of a space", fields(" \r\n"), 400],
  ["obs-fold of the host", "GET / HTTP/1.1\r\nHost:\r\n h\r\n\r\n", 400],
  ["space before the colon of the host", "GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400],
  ["NUL in the host", "GET / HTTP/1.1\r\nHost: h\0\r\n\r\n", 400],
  ["space in the host", hosts(" h i"), 400],
  ["query in the host", hosts(" h?a"), 400],
  ["fragment in the host", hosts(" h#a"), 400],
  ["scheme in the host", hosts(" http://h"), 400],
  ["letters for a port", hosts(" h:http"), 400],

  // Length of the body.
  ...[
    "5,",
    ",5",
    "1e3",
    "5.0",
    "--5",
    "0x0",
    "5\x0b",
    "18446744073709551616",
    "9007199254740993",
  ].map(
    (length) =>
      [`Content-Length "${length}"`, post(`Content-Length: ${length}\r\n`, "hello"), 400] as const,
  ),
  ["space before the colon of a length", post("Content-Length : 5\r\n", "hello"), 400],
  ["folded length", post("Content-Length: \r\n 5\r\n", "hello"), 400],
  ...["chunked,", "chunked chunked", '"chunked"', "chunked;", "deflate, chunked", "trailers"].map(
    (coding) =>
      [
        `coding ${JSON.stringify(coding)}`,
        post(`Transfer-Encoding: ${coding}\r\n`, "0\r\n\r\n"),
        400,
      ] as const,
  ),
  ["space before the colon of a coding", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400],
  ...[
    "5;\r\nhello",
    "5;b[=x\r\nhello",
    "g\r\nhello",
    "5\rhello",
    "5\r\nhello\n0",
    "5\r\nhello\r0",
    "\x005\r\nhello",
    "5\t\r\nhello",
  ].map(
    (body) =>
      [`chunk ${JSON.stringify(body)}`, post(CHUNKED, `${body}\r\n0\r\n\r\n`), 400] as const,
  ),
  ["trailer without a colon", post(CHUNKED, "0\r\nX y\r\n\r\n"), 400],
  ["trailer without a name", post(CHUNKED, "0\r\n: y\r\n\r\n"), 400],
  ["folded trailer", post(CHUNKED, "0\r\nX: y\r\n z\r\n\r\n"), 400],
  ["NUL in a trailer", post(CHUNKED, "0\r\nX: \0\r\n\r\n"), 400],
  ["line feed behind the last chunk", post(CHUNKED, "0\n\n"), 400],

  // Not HTTP at all.
  ["line of a space first", ` \r\nGET / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["SSH", "SSH-2.0-OpenSSH_9.2\r\n", [400, 501]],
  ["SMTP", "EHLO a.test\r\n", [400, 501]],
  ["Redis", "*1\r\n$4\r\nPING\r\n", 400],
  ["SOCKS", "\x05\x01\x00", 400],
];

/** Answered with 200, once. */
export const taken: readonly (readonly [name: string, bytes: string])[] = [
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
  ["coding in capitals", post("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n")],
  ["chunk size in capitals", post(CHUNKED, "A\r\n0123456789\r\n0\r\n\r\n")],
  ["chunk size with zeroes", post(CHUNKED, "0005\r\nhello\r\n0000\r\n\r\n")],
  ["length 0", post("Content-Length: 0\r\n")],
  ["empty value", fields("A:\r\n")],
  ["spaces behind a value", fields("A: b  \t\r\n")],
  ["every character of a name", fields("!#$%&'*+-.^_`|~09azAZ: b\r\n")],
  ["dot behind the host", hosts(" h.")],
  ["IPv6 host", hosts(" [::1]:80")],
  ["host in capitals", hosts(" H")],
  ["absolute target in capitals", `GET HTTP://h/ HTTP/1.1\r\n${HOST}\r\n`],
  ["absolute target without a path", `GET http://h HTTP/1.1\r\n${HOST}\r\n`],
  ["absolute target with a query only", `GET http://h?a HTTP/1.1\r\n${HOST}\r\n`],
  ["question mark only", `GET /? HTTP/1.1\r\n${HOST}\r\n`],
  ["query with everything", `GET /?a=/b?c;d:e@f!$&'()*+,=%20 HTTP/1.1\r\n${HOST}\r\n`],
  ["OPTIONS *", `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`],
  ["Connection: close, x", fields("Connection: close, x\r\n")],
  ["length of a GET", `GET / HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`],
  ["expectation of a body that is there", post("Expect: 100-continue\r\nContent-Length: 0\r\n")],
];

/** Where a server may do either: first what is preferred, then what is allowed. */
export const open: readonly (readonly [
  name: string,
  bytes: string,
  preferred: number,
  allowed: number,
])[] = [
  // RFC 9112 3: a recipient may take any white space for one separator. Node's parser does.
  ["two spaces before the target", `GET  / HTTP/1.1\r\n${HOST}\r\n`, 400, 200],
  ["two spaces before the version", `GET /  HTTP/1.1\r\n${HOST}\r\n`, 400, 200],
  // White space as it may be, in a field that has been used to smuggle requests: Node's parser takes no chance.
  ["tab behind a coding", post("Transfer-Encoding: chunked\t\r\n", "0\r\n\r\n"), 200, 400],
];
