// Conditions and ranges over the wire: every row that CONFORMANCE has for them, and the same questions put to @fastify/send.

import assert from "node:assert/strict";
import { once } from "node:events";
import { truncateSync, utimesSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { send } from "@fastify/send";
import { startSite, temporaryDirectory, type TestSite } from "../../../helpers/site.ts";
import { request, type Reply } from "../../../helpers/wire.ts";

const SIZE = 1000;
const CONTENT = Array.from({ length: SIZE / 4 }, (_, index) => String(index).padStart(4, "0")).join(
  "",
);
const MODIFIED = 1_700_000_000;

type Fixture = {
  readonly site: TestSite;
  readonly root: string;
  readonly etag: string;
  readonly modified: string;
};

async function serve(t: TestContext): Promise<Fixture> {
  const root = temporaryDirectory(t);
  writeFileSync(join(root, "file.txt"), CONTENT);
  utimesSync(join(root, "file.txt"), MODIFIED, MODIFIED);
  writeFileSync(join(root, "empty.txt"), "");
  const mounts = [
    {
      mountpoint: "/",
      keys: {
        origin: `file://${root}`,
        "cache-max-age": 60,
        "cache-reuse": 1,
        headers: { "X-A": "1" },
      },
    },
  ];
  const site = await startSite(t, { vhosts: [{ name: "a.test", mounts }] });
  const { headers } = await request(site.port, "HEAD /file.txt");
  const etag = headers.get("etag") ?? "";
  const modified = headers.get("last-modified") ?? "";
  assert.match(etag, /^"[\w-]+"$/);
  assert.equal(Date.parse(modified), MODIFIED * 1000);
  return { site, root, etag, modified };
}

function at(seconds: number): string {
  return new Date((MODIFIED + seconds) * 1000).toUTCString();
}

/** [fields with E for the entity tag, status] */
const CONDITIONS: readonly (readonly [fields: readonly string[], status: number])[] = [
  [["If-None-Match: E"], 304],
  [['If-None-Match: "x"'], 200],
  [['If-None-Match: "x", E , "y"'], 304],
  [["If-None-Match: *"], 304],
  [["If-None-Match: W/E"], 304],
  [['If-None-Match: "x"', "If-None-Match: E"], 304],
  [["If-Match: E"], 200],
  [['If-Match: "x"'], 412],
  [['If-Match: "a",\tE'], 200],
  [["If-Match: *"], 200],
  [["If-Match: W/E"], 412],
  [['If-Match: "x"', "If-None-Match: E"], 412],
  [["If-Match: E", "If-None-Match: E"], 304],
  [[`If-Modified-Since: ${at(0)}`], 304],
  [[`If-Modified-Since: ${at(1)}`], 304],
  [[`If-Modified-Since: ${at(-1)}`], 200],
  [["If-Modified-Since: garbage"], 200],
  [[`If-Modified-Since: ${at(0)}`, 'If-None-Match: "x"'], 200],
  [[`If-Modified-Since: ${at(-1)}`, "If-None-Match: E"], 304],
  [[`If-Unmodified-Since: ${at(-1)}`], 412],
  [[`If-Unmodified-Since: ${at(0)}`], 200],
  [[`If-Unmodified-Since: ${at(-1)}`, "If-Match: E"], 200],
  [["If-None-Match: E", "Range: bytes=0-8"], 304],
  [['If-Match: "x"', "Range: bytes=0-8"], 412],
  [['If-Match: "x"', "Range: bytes=1000-"], 412],
];

test("file mount evaluates conditions in the order of RFC 9110 13.2.2", async (t) => {
  const { site, etag } = await serve(t);
  const whole = await request(site.port, "GET /file.txt");
  for (const method of ["GET", "HEAD"])
    for (const [fields, status] of CONDITIONS) {
      const sent = fields.map((field) => field.replaceAll(/\bE\b/g, etag));
      const reply = await request(site.port, `${method} /file.txt`, sent);
      // HEAD knows no ranges, and these are all decided before them.
      assert.equal(reply.status, status, `${method} ${fields.join(" ")}`);
      if (status !== 304) continue;
      assert.equal(reply.body, "");
      assert.equal(reply.headers.get("content-length"), undefined);
      for (const name of ["etag", "last-modified", "cache-control", "vary", "x-a"])
        assert.equal(reply.headers.get(name), whole.headers.get(name), name);
      assert.ok(reply.headers.has("date"));
    }
  assert.equal((await request(site.port, "GET /gone", ['If-Match: "x"'])).status, 404);
  assert.equal((await request(site.port, "GET /gone", ["If-None-Match: *"])).status, 404);
});

/** [Range, Content-Range of a 206] */
const SINGLE: readonly (readonly [range: string, contentRange: string])[] = [
  ["bytes=0-8", "bytes 0-8/1000"],
  ["bytes=-10", "bytes 990-999/1000"],
  ["bytes=990-", "bytes 990-999/1000"],
  ["bytes=990-1990", "bytes 990-999/1000"],
  ["bytes=0-", "bytes 0-999/1000"],
  ["bytes=-5000", "bytes 0-999/1000"],
  ["bytes=0-,1-,2-,3-,4-", "bytes 0-999/1000"],
  ["bytes=0-100,70-100,101-200", "bytes 0-200/1000"],
  ["bytes=1000-,0-0", "bytes 0-0/1000"],
];

test("file mount answers one range with 206", async (t) => {
  const { site, etag } = await serve(t);
  for (const [range, contentRange] of SINGLE) {
    const reply = await request(site.port, "GET /file.txt", [`Range: ${range}`]);
    assert.equal(reply.status, 206, range);
    assert.equal(reply.headers.get("content-range"), contentRange);
    const [, first, last] = /^bytes (\d+)-(\d+)/.exec(contentRange) ?? [];
    assert.equal(reply.body, CONTENT.slice(Number(first), Number(last) + 1));
    assert.equal(reply.headers.get("content-length"), String(reply.body.length));
    assert.equal(reply.headers.get("content-type"), "text/plain");
    assert.equal(reply.headers.get("etag"), etag);
    assert.equal(reply.headers.get("accept-ranges"), "bytes");
  }
});

/** [Range, the parts] */
const SEVERAL: readonly (readonly [range: string, parts: readonly string[]])[] = [
  ["bytes=0-0,-2", ["0-0", "998-999"]],
  ["bytes=0-1,5-8", ["0-1", "5-8"]],
  ["bytes=5-8,0-1", ["5-8", "0-1"]],
  ["bytes=0-9, -10, 10-19", ["0-19", "990-999"]],
  ["bytes=0-1,1000-2000,5-8", ["0-1", "5-8"]],
];

test("file mount answers several ranges with multipart/byteranges of exact length", async (t) => {
  const { site } = await serve(t);
  for (const [range, parts] of SEVERAL) {
    const reply = await request(site.port, "GET /file.txt", [`Range: ${range}`]);
    assert.equal(reply.status, 206, range);
    assert.equal(reply.headers.get("content-range"), undefined);
    // request() has taken exactly Content-Length bytes, and nothing was left over.
    assert.deepEqual(readParts(reply), parts, range);
  }
  const boundaries = await Promise.all(
    [0, 1].map(async () => {
      const { headers } = await request(site.port, "GET /file.txt", ["Range: bytes=0-1,5-8"]);
      return headers.get("content-type");
    }),
  );
  assert.notEqual(boundaries[0], boundaries[1]);
});

/** "first-last" of each part; what it holds is compared here. */
function readParts({ headers, body }: Reply): string[] {
  const [, boundary = ""] =
    /^multipart\/byteranges; boundary=(\w+)$/.exec(headers.get("content-type") ?? "") ?? [];
  assert.notEqual(boundary, "");
  const [preamble, ...parts] = body.split(`--${boundary}`);
  assert.equal(preamble, "");
  assert.equal(parts.pop(), "--\r\n");
  return parts.map((part) => {
    const [, first, last, content] =
      /^\r\nContent-Type: text\/plain\r\nContent-Range: bytes (\d+)-(\d+)\/1000\r\n\r\n([^]*)\r\n$/.exec(
        part,
      ) ?? [];
    assert.equal(content, CONTENT.slice(Number(first), Number(last) + 1));
    return `${first}-${last}`;
  });
}

test("file mount answers 416 where nothing can be had, and says how long the file is", async (t) => {
  const { site } = await serve(t);
  for (const range of ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=1000-,2000-"]) {
    const reply = await request(site.port, "GET /file.txt", [`Range: ${range}`]);
    assert.deepEqual([reply.status, reply.headers.get("content-range")], [416, "bytes */1000"]);
    assert.equal(reply.headers.get("etag"), undefined);
  }
});

test("file mount sends the whole where a range means nothing", async (t) => {
  const { site } = await serve(t);
  const ranges = [
    "foo",
    "bytes=alpha",
    "bytes=7-1",
    "bytes=1-4,x",
    "lines=0-8",
    `bytes=${"0-,".repeat(1000)}`,
  ];
  for (const range of ranges) {
    const reply = await request(site.port, "GET /file.txt", [`Range: ${range}`]);
    assert.deepEqual([reply.status, reply.body], [200, CONTENT], range);
    assert.equal(reply.headers.get("content-range"), undefined);
  }
  for (const range of ["bytes=0-", "bytes=-1", "bytes=5-"])
    assert.equal((await request(site.port, "GET /empty.txt", [`Range: ${range}`])).status, 200);
  const head = await request(site.port, "HEAD /file.txt", ["Range: bytes=0-8"]);
  assert.deepEqual([head.status, head.headers.get("content-length")], [200, "1000"]);
  assert.equal(head.headers.get("accept-ranges"), "bytes");
  assert.equal((await request(site.port, "POST /file.txt", ["Range: bytes=0-8"])).status, 405);
});

test("file mount sends a part only of the version that If-Range names", async (t) => {
  const { site, root, etag } = await serve(t);
  const cases: readonly (readonly [ifRange: string, status: number])[] = [
    [etag, 206],
    [`W/${etag}`, 200],
    [at(0), 206],
    ['"x"', 200],
    [at(-1), 200],
    [at(1), 200],
    ["garbage", 200],
    ["", 200],
    ["*", 200],
    [`${etag}, "x"`, 200],
  ];
  for (const [ifRange, status] of cases) {
    const fields = ["Range: bytes=0-8", `If-Range: ${ifRange}`];
    const reply = await request(site.port, "GET /file.txt", fields);
    assert.deepEqual([reply.status, reply.body.length], [status, status === 206 ? 9 : SIZE]);
  }
  const other = await request(site.port, "GET /file.txt", ["Range: bytes=9999-", 'If-Range: "x"']);
  assert.equal(other.status, 200);

  // Within one second a file may have changed twice, so that its date tells nothing.
  const now = Math.floor(Date.now() / 1000) + 5;
  utimesSync(join(root, "file.txt"), now, now);
  const date = new Date(now * 1000).toUTCString();
  const fresh = await request(site.port, "GET /file.txt", [
    "Range: bytes=0-8",
    `If-Range: ${date}`,
  ]);
  assert.equal(fresh.status, 200);
});

test("file mount streams ranges of large files, several of them too", async (t) => {
  const { site, root } = await serve(t);
  const large = Array.from({ length: 100_000 }, (_, index) => String(index).padStart(8, "0")).join(
    "",
  );
  writeFileSync(join(root, "large.txt"), large);
  const one = await request(site.port, "GET /large.txt", ["Range: bytes=7-700006"]);
  assert.equal(one.status, 206);
  assert.ok(one.body === large.slice(7, 700_007));
  const two = await request(site.port, "GET /large.txt", ["Range: bytes=500000-,1-200000"]);
  assert.equal(two.status, 206);
  assert.ok(two.body.includes(`\r\n\r\n${large.slice(500_000)}\r\n--`));
  assert.ok(two.body.includes(`\r\n\r\n${large.slice(1, 200_001)}\r\n--`));
});

test("file mount reaches the end of files that 32 bits cannot count", async (t) => {
  const { site, root } = await serve(t);
  writeFileSync(join(root, "huge.bin"), "");
  truncateSync(join(root, "huge.bin"), 6_000_000_000);
  const tail = await request(site.port, "GET /huge.bin", ["Range: bytes=-3"]);
  assert.equal(tail.headers.get("content-range"), "bytes 5999999997-5999999999/6000000000");
  assert.equal(tail.body, "\0\0\0");
  const head = await request(site.port, "HEAD /huge.bin");
  assert.equal(head.headers.get("content-length"), "6000000000");
});

/** What both do for GET; several ranges it does not know. */
const ORACLE_CASES: readonly (readonly string[])[] = [
  ...CONDITIONS.map(([fields]) => fields),
  ...["bytes=0-8", "bytes=-10", "bytes=990-", "bytes=990-1990", "bytes=1000-", "lines=0-8"].map(
    (range) => [`Range: ${range}`],
  ),
  ["Range: bytes=0-8", "If-Range: E"],
  ["Range: bytes=0-8", 'If-Range: "x"'],
  ["Range: bytes=0-8", `If-Range: ${at(0)}`],
  ["Range: bytes=0-8", `If-Range: ${at(-1)}`],
];

test("file mount decides as @fastify/send does", async (t) => {
  const { site, root, etag } = await serve(t);
  const oracle = createServer((incoming, response) => {
    void send(incoming, incoming.url ?? "", { root }).then(({ statusCode, headers, stream }) => {
      response.writeHead(statusCode, headers);
      stream.pipe(response);
    });
  });
  oracle.listen(0, "127.0.0.1");
  t.after(() => oracle.close());
  await once(oracle, "listening");
  const address = oracle.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const theirs = (await request(port, "HEAD /file.txt")).headers.get("etag") ?? "";
  let compared = 0;
  for (const fields of ORACLE_CASES) {
    const ask = (to: number, tag: string): Promise<Reply> =>
      request(
        to,
        "GET /file.txt",
        fields.map((field) => field.replaceAll(/\bE\b/g, tag)),
      );
    // Its own tag is weak: what belongs to it is asked for without the mark.
    const strong = theirs.replace(/^W\//, "");
    const [mine, other] = await Promise.all([ask(site.port, etag), ask(port, strong)]);
    const shown = fields.join(" ");
    if (DIFFERENT.has(shown)) {
      assert.notEqual(mine.status, other.status, shown);
      continue;
    }
    compared += 1;
    assert.equal(mine.status, other.status, shown);
    assert.equal(mine.headers.get("content-range"), other.headers.get("content-range"), shown);
    if (mine.status < 300) assert.equal(mine.body, other.body, shown);
  }
  assert.ok(compared > 20);
});

/** Where RFC 9110 is on our side: tabs in lists, weak tags under If-Match, If-Match before a date, and If-Range where its own tag is weak. */
const DIFFERENT: ReadonlySet<string> = new Set([
  'If-Match: "a",\tE',
  "If-Match: W/E",
  `If-Unmodified-Since: ${at(-1)} If-Match: E`,
  "Range: bytes=0-8 If-Range: E",
]);
