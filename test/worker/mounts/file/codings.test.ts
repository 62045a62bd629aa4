// Content codings over the wire: what is chosen, what is said of it, and that each of them is a representation of its own.

import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import {
  brotliCompressSync,
  brotliDecompressSync,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from "node:zlib";
import { startSite, temporaryDirectory, type TestSite } from "../../../helpers/site.ts";
import { request, type Reply } from "../../../helpers/wire.ts";

const TEXT = "It was the best of times, it was the worst of times. ".repeat(200);
const MODIFIED = 1_700_000_000;

const DECODERS: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
  gzip: gunzipSync,
};

async function serve(
  t: TestContext,
  keys: Record<string, unknown> = {},
): Promise<{
  site: TestSite;
  root: string;
  put: (name: string, bytes: string | Buffer, seconds?: number) => void;
}> {
  const directory = temporaryDirectory(t);
  const root = join(directory, "www");
  mkdirSync(root);
  const put = (name: string, bytes: string | Buffer, seconds = 0): void => {
    writeFileSync(join(root, name), bytes);
    utimesSync(join(root, name), MODIFIED + seconds, MODIFIED + seconds);
  };
  put("page.html", TEXT);
  const mounts = [
    {
      mountpoint: "/",
      keys: { origin: `file://${root}`, "cache-max-age": 60, "cache-reuse": 1, ...keys },
    },
  ];
  const site = await startSite(t, { vhosts: [{ name: "a.test", mounts }] });
  return { site, root, put };
}

function codingOf({ headers }: Reply): string {
  return headers.get("content-encoding") ?? "identity";
}

function decoded(reply: Reply): string {
  const bytes = Buffer.from(reply.body, "latin1");
  return (DECODERS[codingOf(reply)]?.(bytes) ?? bytes).toString();
}

test("file mount compresses what the client accepts, and says that it depends on that", async (t) => {
  const { site } = await serve(t);
  const cases = [
    [[], "identity"],
    [["Accept-Encoding: gzip"], "gzip"],
    [["Accept-Encoding: br"], "br"],
    [["Accept-Encoding: zstd"], "zstd"],
    [["Accept-Encoding: gzip, deflate, br, zstd"], "br"],
    [["Accept-Encoding: gzip", "Accept-Encoding: br;q=0.5"], "gzip"],
    [["Accept-Encoding: br;q=0, *;q=0.1"], "zstd"],
    [["Accept-Encoding: identity, gzip;q=0.5"], "identity"],
    [["Accept-Encoding: gzip;q=0"], "identity"],
    [["Accept-Encoding: deflate"], "identity"],
    [["Accept-Encoding: *;q=0"], "identity"],
  ] as const;
  const tags = new Map<string, string>();
  for (const [fields, coding] of cases) {
    const reply = await request(site.port, "GET /page.html", fields);
    assert.deepEqual([reply.status, codingOf(reply)], [200, coding], fields.join());
    assert.equal(decoded(reply), TEXT);
    assert.equal(reply.headers.get("vary"), "Accept-Encoding");
    assert.equal(reply.headers.get("content-type"), "text/html");
    if (coding !== "identity") assert.ok(reply.body.length < TEXT.length / 10);
    tags.set(coding, reply.headers.get("etag") ?? "");
    const head = await request(site.port, "HEAD /page.html", fields);
    for (const name of ["content-length", "content-encoding", "etag", "vary", "last-modified"])
      assert.equal(head.headers.get(name), reply.headers.get(name), name);
  }
  assert.equal(new Set(tags.values()).size, 4);
  for (const tag of tags.values()) assert.match(tag, /^"[\w-]+"$/);
});

test("file mount answers conditions for each coding by itself", async (t) => {
  const { site } = await serve(t);
  const gzip = "Accept-Encoding: gzip";
  const [bare, encoded] = await Promise.all([
    request(site.port, "GET /page.html"),
    request(site.port, "GET /page.html", [gzip]),
  ]);
  const [bareTag, tag] = [bare, encoded].map(({ headers }) => headers.get("etag") ?? "");
  const ask = (...fields: string[]): Promise<Reply> => request(site.port, "GET /page.html", fields);

  const same = await ask(gzip, `If-None-Match: ${tag}`);
  assert.equal(same.status, 304);
  for (const name of ["etag", "vary", "cache-control", "last-modified"])
    assert.equal(same.headers.get(name), encoded.headers.get(name), name);
  assert.equal((await ask(gzip, `If-None-Match: ${bareTag}`)).status, 200);
  assert.equal((await ask(`If-None-Match: ${tag}`)).status, 200);
  assert.equal((await ask(`If-None-Match: ${bareTag}`)).headers.get("vary"), "Accept-Encoding");
  const failed = await ask(gzip, `If-Match: ${bareTag}`);
  assert.deepEqual([failed.status, failed.headers.get("vary")], [412, "Accept-Encoding"]);
});

test("file mount knows that a client has a coding without encoding it again", async (t) => {
  const { site, root } = await serve(t);
  const fields = ["Accept-Encoding: gzip"];
  const { headers } = await request(site.port, "GET /page.html", fields);
  const again = await startSite(t, {
    vhosts: [{ name: "a.test", mounts: [{ mountpoint: "/", keys: { origin: `file://${root}` } }] }],
  });
  const etag = `If-None-Match: ${headers.get("etag")}`;
  const method = ["GET", "HEAD"];
  for (const name of method)
    assert.equal((await request(again.port, `${name} /page.html`, [...fields, etag])).status, 304);
  const date = `If-Modified-Since: ${headers.get("last-modified")}`;
  assert.equal((await request(again.port, "GET /page.html", [...fields, date])).status, 304);
  assert.equal(
    (await request(again.port, "GET /page.html", [...fields, 'If-Match: "x"'])).status,
    412,
  );
});

test("file mount takes ranges of what was encoded", async (t) => {
  const { site } = await serve(t);
  const gzip = "Accept-Encoding: gzip";
  const whole = await request(site.port, "GET /page.html", [gzip]);
  const size = whole.body.length;
  const tag = whole.headers.get("etag") ?? "";
  const part = await request(site.port, "GET /page.html", [gzip, "Range: bytes=10-19"]);
  assert.deepEqual(
    [part.status, part.body, part.headers.get("content-range"), codingOf(part)],
    [206, whole.body.slice(10, 20), `bytes 10-19/${size}`, "gzip"],
  );
  assert.deepEqual([part.headers.get("etag"), part.headers.get("vary")], [tag, "Accept-Encoding"]);
  const none = await request(site.port, "GET /page.html", [gzip, `Range: bytes=${size}-`]);
  assert.deepEqual(
    [none.status, none.headers.get("content-range"), none.headers.get("vary")],
    [416, `bytes */${size}`, "Accept-Encoding"],
  );
  const other = await request(site.port, "GET /page.html", [
    "Range: bytes=0-9",
    `If-Range: ${tag}`,
  ]);
  assert.deepEqual([other.status, other.body], [200, TEXT]);
});

test("file mount compresses types that get smaller, of sizes that are worth it", async (t) => {
  const types = { ".own": "Text/Own; charset=utf-8", ".none": "" };
  const { site, put } = await serve(t, { "extra-mimetypes": types });
  const compressible = [
    "x.js",
    "x.css",
    "x.svg",
    "x.json",
    "x.wasm",
    "x.xml",
    "x.txt",
    "x.own",
    "x.webmanifest",
    "x.ttf",
  ];
  const others = ["x.png", "x.woff2", "x.zip", "x.mp4", "x.none", "x.unknown", "x.gz", "x.br"];
  for (const name of compressible) {
    put(name, TEXT);
    const reply = await request(site.port, `GET /${name}`, ["Accept-Encoding: gzip"]);
    assert.equal(codingOf(reply), "gzip", name);
  }
  for (const name of others) {
    put(name, TEXT);
    const reply = await request(site.port, `GET /${name}`, ["Accept-Encoding: gzip, br"]);
    assert.deepEqual([codingOf(reply), reply.headers.get("vary")], ["identity", undefined], name);
  }
  const sizes = [
    [1023, "identity"],
    [1024, "gzip"],
    [8 * 1024 * 1024, "gzip"],
    [8 * 1024 * 1024 + 1, "identity"],
  ] as const;
  for (const [size, coding] of sizes) {
    put("sized.txt", "a".repeat(size), size);
    const reply = await request(site.port, "GET /sized.txt", ["Accept-Encoding: gzip"]);
    assert.deepEqual([codingOf(reply), decoded(reply).length], [coding, size]);
    assert.equal(reply.headers.get("vary"), "Accept-Encoding");
  }
  put("small.txt", "a".repeat(100));
  const insists = await request(site.port, "GET /small.txt", [
    "Accept-Encoding: identity;q=0, gzip",
  ]);
  assert.deepEqual([codingOf(insists), decoded(insists).length], ["gzip", 100]);
  put("noise.txt", Buffer.from(crypto.getRandomValues(new Uint8Array(5_000))));
  const noise = await request(site.port, "GET /noise.txt", ["Accept-Encoding: gzip"]);
  assert.deepEqual([codingOf(noise), noise.body.length], ["identity", 5_000]);
});

test("file mount encodes the new version of a file that has changed", async (t) => {
  const { site, root } = await serve(t);
  const fields = ["Accept-Encoding: br"];
  const before = await request(site.port, "GET /page.html", fields);
  appendFileSync(join(root, "page.html"), "and more");
  const after = await request(site.port, "GET /page.html", fields);
  assert.equal(decoded(after), `${TEXT}and more`);
  assert.notEqual(after.headers.get("etag"), before.headers.get("etag"));
});

test("file mount compresses nothing where it is told not to", async (t) => {
  const { site, put } = await serve(t, { compress: 0, precompressed: "off" });
  put("page.html.gz", gzipSync("copy"), 1);
  const reply = await request(site.port, "GET /page.html", ["Accept-Encoding: gzip, br"]);
  assert.deepEqual([codingOf(reply), reply.headers.get("vary")], ["identity", undefined]);
  assert.equal(reply.body, TEXT);
});

test("file mount sends the copy beside a file, unless it is older", async (t) => {
  const { site, put } = await serve(t, { compress: 0 });
  const all = ["Accept-Encoding: gzip, br, zstd"];
  const ask = (fields: readonly string[] = all): Promise<Reply> =>
    request(site.port, "GET /page.html", fields);
  assert.deepEqual(codingOf(await ask()), "identity");
  put("page.html.gz", gzipSync("copy"), -1);
  assert.equal(codingOf(await ask()), "identity");
  put("page.html.gz", gzipSync("copy"), 0);
  const gzip = await ask();
  assert.deepEqual([codingOf(gzip), decoded(gzip)], ["gzip", "copy"]);
  assert.equal(gzip.headers.get("content-type"), "text/html");
  assert.equal(gzip.headers.get("vary"), "Accept-Encoding");
  assert.equal(codingOf(await ask([])), "identity");
  assert.equal((await ask([])).headers.get("vary"), "Accept-Encoding");
  put("page.html.zst", zstdCompressSync("copy"), 1);
  assert.equal(codingOf(await ask()), "zstd");
  put("page.html.br", brotliCompressSync("copy"), 1);
  const br = await ask();
  assert.equal(codingOf(br), "br");
  assert.equal(codingOf(await ask(["Accept-Encoding: gzip, br;q=0.5"])), "gzip");
  assert.notEqual(br.headers.get("etag"), gzip.headers.get("etag"));
  const part = await request(site.port, "GET /page.html", [...all, "Range: bytes=0-2"]);
  assert.deepEqual([part.status, part.body], [206, br.body.slice(0, 3)]);
  const same = await request(site.port, "GET /page.html", [
    ...all,
    `If-None-Match: ${br.headers.get("etag")}`,
  ]);
  assert.equal(same.status, 304);
  const itself = await request(site.port, "GET /page.html.gz", all);
  assert.deepEqual(
    [codingOf(itself), itself.headers.get("content-type")],
    ["identity", "application/gzip"],
  );
});

test("file mount follows the rules of its directory for copies too", async (t) => {
  const { site, root, put } = await serve(t, { compress: 0 });
  writeFileSync(join(root, "..", "secret.gz"), gzipSync("secret"));
  symlinkSync("../secret.gz", join(root, "page.html.gz"));
  mkdirSync(join(root, "page.html.br"));
  put("page.html.zst", "", 1);
  const reply = await request(site.port, "GET /page.html", ["Accept-Encoding: gzip, br, zstd"]);
  assert.deepEqual([reply.status, codingOf(reply), reply.body], [200, "identity", TEXT]);
  put("only.html.gz", gzipSync("copy"));
  assert.equal((await request(site.port, "GET /only.html", ["Accept-Encoding: gzip"])).status, 404);
});

test("file mount prefers a copy that is ready to one that it would have to make", async (t) => {
  const { site, put } = await serve(t);
  put("page.html.gz", gzipSync("copy"), 1);
  const reply = await request(site.port, "GET /page.html", ["Accept-Encoding: br, gzip"]);
  assert.deepEqual([codingOf(reply), decoded(reply)], ["gzip", "copy"]);
});
