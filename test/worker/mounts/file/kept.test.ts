// Files in memory: the same answers as from disk, never older than a second, and no more memory than was allowed.

import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { gunzipSync } from "node:zlib";
import { createFileCache, type Kept } from "../../../../worker/file-cache.ts";
import { createHttp1Front } from "../../../../worker/http/node-http1.ts";
import {
  startSite,
  temporaryDirectory,
  type TestSite,
  type TestSiteOptions,
} from "../../../helpers/site.ts";
import { exchangeBytes, request } from "../../../helpers/wire.ts";

const CACHE_BYTES = 1024 * 1024;
/** Long ago, so that a file may be kept. */
const THEN = 1_700_000_000;

function put(path: string, content: string | Buffer, time = THEN): void {
  writeFileSync(path, content);
  utimesSync(path, time, time);
}

function serve(
  t: TestContext,
  root: string,
  keys: Record<string, unknown> = {},
  options: Partial<TestSiteOptions> = {},
): Promise<TestSite> {
  const mounts = [{ mountpoint: "/", keys: { origin: `file://${root}`, ...keys } }];
  return startSite(t, {
    vhosts: [{ name: "a.test", mounts }],
    fileCacheBytes: CACHE_BYTES,
    ...options,
  });
}

function makeTree(t: TestContext): string {
  const root = temporaryDirectory(t);
  mkdirSync(join(root, "sub"));
  mkdirSync(join(root, "empty"));
  put(join(root, "index.html"), "home");
  put(join(root, "sub", "index.html"), "<p>".repeat(1_000));
  put(join(root, "a.bin"), Buffer.alloc(5_000, 7));
  put(join(root, "none.txt"), "");
  put(join(root, "large.txt"), "x".repeat(300_000));
  put(join(root, "pre.css"), "a".repeat(3_000));
  put(join(root, "pre.css.br"), "not really brotli");
  put(join(root, ".hidden"), "secret");
  writeFileSync(join(root, "young.txt"), "new");
  symlinkSync("/etc/hostname", join(root, "escape"));
  symlinkSync("a.bin", join(root, "link"));
  return root;
}

/** Waits until what was found before is asked for anew. */
async function untilItIs(
  expected: string,
  ask: () => Promise<string>,
  from: number,
): Promise<void> {
  for (;;) {
    const answer = await ask();
    if (answer === expected) return;
    assert.ok(performance.now() - from < 1_500, `still "${answer.slice(0, 40)}"`);
    await new Promise(setImmediate);
  }
}

const TARGETS =
  "/ /sub /sub?x=y /sub/ /sub/index.html /a.bin /link /none.txt /large.txt /pre.css /.hidden /escape /nothing /empty/ /empty /a.bin/ /young.txt /%61.bin".split(
    " ",
  );
const FIELDS = [
  [],
  ["Accept-Encoding: gzip, br"],
  ["Accept-Encoding: gzip"],
  ["Accept-Encoding: identity;q=0, gzip"],
  ["If-None-Match: *"],
  ['If-None-Match: "x"'],
  ["If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT"],
  ["If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT"],
  ['If-Match: "x"'],
  ["Range: bytes=1-2"],
  ["Range: bytes=0-0,2-2"],
  ["Range: bytes=999999-"],
  ['If-Range: "x"', "Range: bytes=1-2"],
];

for (const keys of [{}, { compress: "1", precompressed: "1" }])
  test(`Kept files are answered as from disk: ${JSON.stringify(keys)}`, async (t) => {
    const root = makeTree(t);
    const kept = await serve(t, root, keys);
    const plain = await serve(t, root, keys, { fileCacheBytes: 0, createFront: createHttp1Front });
    const still = (text: string): string =>
      text.replace(/Date: [^\r]+/, "").replaceAll(/[\da-f]{32}/g, "boundary");
    // Twice: the first time puts it there.
    for (const round of [1, 2])
      for (const target of TARGETS)
        for (const fields of FIELDS)
          for (const method of ["GET", "HEAD"]) {
            const lines = [
              `${method} ${target} HTTP/1.1`,
              "Host: a.test",
              "Connection: close",
              ...fields,
            ];
            const bytes = `${lines.join("\r\n")}\r\n\r\n`;
            const [one, other] = await Promise.all(
              [kept, plain].map(async ({ port }) => still(await exchangeBytes(port, bytes))),
            );
            assert.equal(one, other, `${round}: ${lines.join(" | ")}`);
          }
    const without = (line: string): string => line.replace(/\[[^\]]+\]/, "");
    assert.deepEqual(kept.logged.map(without), plain.logged.map(without));
  });

test("Kept files: a change, a replacement and a removal are seen within a second", async (t) => {
  const root = temporaryDirectory(t);
  const path = join(root, "f.txt");
  put(path, "one");
  const site = await serve(t, root);
  const ask = async (): Promise<string> => (await request(site.port, "GET /f.txt")).body;
  assert.equal(await ask(), "one");
  // In place, of the same size: only the time tells.
  put(path, "two", THEN + 1);
  await untilItIs("two", ask, performance.now());
  put(join(root, "next"), "three", THEN + 1);
  renameSync(join(root, "next"), path);
  await untilItIs("three", ask, performance.now());
  rmSync(path);
  const status = async (): Promise<string> =>
    String((await request(site.port, "GET /f.txt")).status);
  await untilItIs("404", status, performance.now());
  put(path, "four");
  await untilItIs("four", ask, performance.now());
});

test("Kept files: a directory that is turned to another release, and a link that leads out, are seen within a second", async (t) => {
  const root = temporaryDirectory(t);
  for (const name of ["v1", "v2"]) {
    mkdirSync(join(root, name));
    put(join(root, name, "f.txt"), name);
  }
  symlinkSync("v1", join(root, "now"));
  const site = await serve(t, join(root, "now"));
  const ask = async (): Promise<string> => {
    const reply = await request(site.port, "GET /f.txt");
    return reply.status === 200 ? reply.body : String(reply.status);
  };
  assert.equal(await ask(), "v1");
  symlinkSync("v2", join(root, "then"));
  renameSync(join(root, "then"), join(root, "now"));
  await untilItIs("v2", ask, performance.now());
  rmSync(join(root, "v2", "f.txt"));
  symlinkSync("../v1/f.txt", join(root, "v2", "f.txt"));
  await untilItIs("404", ask, performance.now());
});

test("Kept files: who loses the right to read a file does not get it from memory", async (t) => {
  if (process.getuid?.() === 0) return t.skip("root may read everything");
  const root = temporaryDirectory(t);
  put(join(root, "f.txt"), "one");
  const site = await serve(t, root);
  assert.equal((await request(site.port, "GET /f.txt")).body, "one");
  chmodSync(join(root, "f.txt"), 0);
  await untilItIs(
    "403",
    async () => String((await request(site.port, "GET /f.txt")).status),
    performance.now(),
  );
});

test("Kept files: each coding has its own, and a client that names none gets the bare file", async (t) => {
  const root = makeTree(t);
  const site = await serve(t, root, { compress: "1" });
  for (let round = 0; round < 3; round += 1) {
    const bare = await request(site.port, "GET /sub/");
    const packed = await request(site.port, "GET /sub/", ["Accept-Encoding: gzip"]);
    assert.equal(bare.headers.get("content-encoding"), undefined);
    assert.equal(packed.headers.get("content-encoding"), "gzip");
    assert.equal(gunzipSync(Buffer.from(packed.body, "latin1")).toString(), bare.body);
    assert.notEqual(bare.headers.get("etag"), packed.headers.get("etag"));
  }
});

test("FileCache keeps to its bytes, lets go first what nobody asked for, and bounds its notes", () => {
  const cache = createFileCache(10_000);
  const table = new Map<string, Kept>();
  const item = (key: string, bytes: number): Kept => ({ table, key, bytes, wasUsed: false });
  for (let index = 0; index < 10; index += 1) cache.keep(item(String(index), 1_000), "file");
  assert.equal(cache.bytes, 10_000);
  const asked = table.get("0");
  assert.ok(asked);
  asked.wasUsed = true;
  cache.keep(item("new", 1_000), "file");
  assert.deepEqual(
    [table.has("0"), table.has("1"), table.has("new"), cache.bytes],
    [true, false, true, 10_000],
  );
  // In its own place: nothing else has to go.
  cache.keep(item("new", 500), "file");
  assert.deepEqual([table.size, cache.bytes], [10, 9_500]);
  for (let index = 0; index < 10_000; index += 1) cache.keep(item(`note ${index}`, 100), "note");
  assert.ok(table.size < 5_000 && table.has("0"), String(table.size));
  for (const kept of table.values()) cache.drop(kept);
  assert.deepEqual([table.size, cache.bytes], [0, 0]);
});

test("FileCache of no bytes keeps nothing", () => {
  const cache = createFileCache(0);
  const table = new Map<string, Kept>();
  cache.keep({ table, key: "a", bytes: 1, wasUsed: false }, "file");
  assert.equal(table.size, 0);
});
