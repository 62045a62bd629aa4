// Directories that are listed, pages for paths that are not there, and symlinks.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { startSite, temporaryDirectory, type TestSite } from "../../../helpers/site.ts";
import { request, type Reply } from "../../../helpers/wire.ts";

type Served = { readonly site: TestSite; readonly root: string };

async function serve(
  t: TestContext,
  keys: Record<string, unknown>,
  mountpoint = "/",
): Promise<Served> {
  const root = join(temporaryDirectory(t), "www");
  mkdirSync(root);
  const mounts = [{ mountpoint, keys: { origin: `file://${root}`, ...keys } }];
  return { root, site: await startSite(t, { vhosts: [{ name: "a.test", mounts }] }) };
}

function put(root: string, names: readonly (string | Buffer)[]): void {
  for (const name of names)
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name)]), "text");
}

/** [href, text] of every link, as a browser reads them. */
function links(page: string): (readonly [string, string])[] {
  const unescape = (text: string): string =>
    text.replace(/&#(\d+);/g, (_all, code: string) => String.fromCharCode(Number(code)));
  const text = Buffer.from(page, "latin1").toString();
  return [...text.matchAll(/<a href="([^"]*)">([^<]*)<\/a>/g)].map(
    ([, href = "", shown = ""]) => [unescape(href), unescape(shown)] as const,
  );
}

type Row = { name: string; type: string; mtime: string; size?: number };

function rows(reply: Reply): Row[] {
  return JSON.parse(Buffer.from(reply.body, "latin1").toString()) as Row[];
}

test("autoindex is off unless it is wanted, and an index file goes before it", async (t) => {
  const off = await serve(t, {});
  assert.equal((await request(off.site.port, "GET /")).status, 404);
  const { site, root } = await serve(t, { autoindex: 1 });
  mkdirSync(join(root, "sub"));
  assert.equal((await request(site.port, "GET /")).status, 200);
  const redirected = await request(site.port, "GET /sub?format=json");
  assert.equal(redirected.headers.get("location"), "/sub/?format=json");
  put(root, ["index.html"]);
  assert.equal((await request(site.port, "GET /")).body, "text");
});

test("autoindex lists directories first, then by name, without hidden and foreign things", async (t) => {
  const { site, root } = await serve(t, { autoindex: 1 });
  for (const name of ["zoo", "alpha", ".git"]) mkdirSync(join(root, name));
  put(root, ["b.txt", "a.txt", "C.txt", ".env", "../secret.txt"]);
  symlinkSync("../secret.txt", join(root, "link_out"));
  symlinkSync("a.txt", join(root, "link_in"));
  symlinkSync("alpha", join(root, "link_dir"));
  symlinkSync("nowhere", join(root, "dangling"));
  execFileSync("mkfifo", [join(root, "fifo")]);
  utimesSync(join(root, "a.txt"), 1_700_000_000, 1_700_000_000);
  const page = await request(site.port, "GET /");
  assert.deepEqual(links(page.body), [
    ["./alpha/", "alpha/"],
    ["./link_dir/", "link_dir/"],
    ["./zoo/", "zoo/"],
    ["./C.txt", "C.txt"],
    ["./a.txt", "a.txt"],
    ["./b.txt", "b.txt"],
    ["./link_in", "link_in"],
  ]);
  assert.ok(page.body.includes("<td>2023-11-14 22:13</td>"));
  for (const [name, value] of [
    ["content-type", "text/html; charset=utf-8"],
    ["cache-control", "no-store"],
    ["vary", "Accept"],
  ] as const)
    assert.equal(page.headers.get(name), value);
  const below = await request(site.port, "GET /alpha/");
  assert.deepEqual(links(below.body), [["../", "../"]]);
  const head = await request(site.port, "HEAD /");
  assert.equal(head.headers.get("content-length"), page.headers.get("content-length"));
  for (const path of ["/.git/", "/link_out", "/fifo"])
    assert.equal((await request(site.port, `GET ${path}`)).status, 404);
});

test("autoindex escapes names in text and in links, and each link leads to its file", async (t) => {
  const { site, root } = await serve(t, { autoindex: 1 });
  const names = [
    "a:b",
    "javascript:alert(1)",
    "<script>alert(1)<",
    "q'\"&amp;",
    "x?y#z",
    "100%",
    "a b+c",
    "back\\slash",
    "ünï.txt",
    "new\nline",
  ];
  put(root, [...names, Buffer.from([0x66, 0xff, 0x66])]);
  mkdirSync(join(root, "dir?#%"));
  const page = await request(site.port, "GET /");
  assert.ok(!page.body.includes("<script>"));
  assert.match(page.headers.get("content-security-policy") ?? "", /^default-src 'none'/);
  const found = links(page.body);
  assert.equal(found.length, names.length + 2);
  for (const [href, shown] of found) {
    assert.ok(href.startsWith("./"), href);
    const url = new URL(href, "http://a.test/");
    assert.deepEqual([url.origin, url.search, url.hash], ["http://a.test", "", ""], shown);
    // What the server refuses in any path (400) is refused here too.
    const expected = shown.includes("\n") ? 400 : 200;
    assert.equal((await request(site.port, `GET ${url.pathname}`)).status, expected, shown);
  }
  const texts = new Set(found.map(([, text]) => text));
  for (const name of names) assert.ok(texts.has(name), name);
  assert.ok(texts.has("f\u{fffd}f"));
});

test("autoindex speaks JSON to those who ask for it", async (t) => {
  const { site, root } = await serve(t, { autoindex: 1, "cache-max-age": 60, "cache-reuse": 1 });
  mkdirSync(join(root, "sub"));
  put(root, ['a"<b>.txt']);
  const cases = [
    ["/", "Accept: application/json", true],
    ["/", "Accept: text/html;q=0.5, application/json", true],
    ["/", "Accept: text/html, application/json;q=0.9", false],
    ["/", "Accept: */*", false],
    ["/", "Accept: image/png", false],
    ["/?format=json", "Accept: text/html", true],
    ["/?a=b&format=json", "X: y", true],
    ["/?format=html", "Accept: application/json", false],
    ["/?format=jsonp", "X: y", false],
  ] as const;
  for (const [target, field, isJson] of cases) {
    const reply = await request(site.port, `GET ${target}`, [field]);
    const type = isJson ? "application/json" : "text/html; charset=utf-8";
    assert.equal(reply.headers.get("content-type"), type, `${target} ${field}`);
    assert.deepEqual(
      [reply.headers.get("vary"), reply.headers.get("cache-control")],
      ["Accept", "no-cache"],
    );
  }
  const [sub, file] = rows(await request(site.port, "GET /?format=json"));
  assert.deepEqual([sub?.name, sub?.type, sub?.size], ["sub", "directory", undefined]);
  assert.deepEqual([file?.name, file?.type, file?.size], ['a"<b>.txt', "file", 4]);
  assert.ok(Math.abs(Date.parse(file?.mtime ?? "") - Date.now()) < 60_000);
});

test("autoindex of a huge directory ends somewhere, and others are served meanwhile", async (t) => {
  const { site, root } = await serve(t, { autoindex: 1 });
  const count = 12_000;
  mkdirSync(join(root, "many"));
  for (let index = 0; index < count; index += 1)
    symlinkSync("../one.txt", join(root, "many", `f${index}`));
  put(root, ["one.txt"]);
  let isListed = false;
  const listings = Promise.all([
    request(site.port, "GET /many/"),
    request(site.port, "GET /many/?format=json"),
  ]).finally(() => (isListed = true));
  let served = 0;
  while (!isListed) {
    assert.equal((await request(site.port, "GET /one.txt")).status, 200);
    if (!isListed) served += 1;
  }
  const [page, json] = await listings;
  assert.ok(served > 0);
  assert.equal(links(page.body).length, 10_001);
  assert.ok(page.body.includes("there are more"));
  assert.equal(rows(json).length, 10_000);
});

test("fallback answers for paths that are not there, when a page is wanted", async (t) => {
  const { site, root } = await serve(t, { fallback: "/app.html" });
  put(root, ["app.html", "real.txt", "../secret.txt"]);
  mkdirSync(join(root, "empty"));
  symlinkSync("../secret.txt", join(root, "link_out"));
  writeFileSync(join(root, "app.html"), "<p>app");
  const browser = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
  const cases = [
    ["GET /", browser, 200, "<p>app"],
    ["GET /users/7", browser, 200, "<p>app"],
    ["GET /users/john.doe", browser, 200, "<p>app"],
    ["GET /users/7", "Accept: */*", 200, "<p>app"],
    ["GET /users/7", "X: y", 200, "<p>app"],
    ["GET /real.txt/below", browser, 200, "<p>app"],
    ["GET /empty/", browser, 200, "<p>app"],
    ["GET /real.txt", browser, 200, "text"],
    ["HEAD /users/7", browser, 200, ""],
    ["GET /app.js", "Accept: */*", 404, undefined],
    ["GET /app.js", "X: y", 404, undefined],
    ["GET /users/7", "Accept: application/json", 404, undefined],
    ["GET /users/7", "Accept: text/html;q=0", 404, undefined],
    ["GET /.env", browser, 404, undefined],
    ["GET /link_out", browser, 404, undefined],
    ["POST /users/7", browser, 405, undefined],
  ] as const;
  for (const [line, field, status, body] of cases) {
    const reply = await request(site.port, line, [field]);
    assert.equal(reply.status, status, `${line} ${field}`);
    if (body !== undefined) assert.equal(reply.body, body, line);
    if (body === "<p>app") assert.equal(reply.headers.get("vary"), "Accept-Encoding, Accept");
  }
  const { headers } = await request(site.port, "GET /users/7");
  const tag = `If-None-Match: ${headers.get("etag")}`;
  assert.equal((await request(site.port, "GET /users/7", [tag])).status, 304);
  renameSync(join(root, "app.html"), join(root, "gone.html"));
  assert.equal((await request(site.port, "GET /users/7")).status, 404);
});

test("symlinks are followed as far as is wanted", async (t) => {
  const expected = {
    inside: { "/in": 200, "/dir/a.txt": 200, "/dir/": 404, "/out": 404, "/etc/passwd": 404 },
    anywhere: { "/in": 200, "/dir/a.txt": 200, "/out": 200, "/etc/passwd": 200, "/zero": 404 },
    none: { "/in": 404, "/dir/a.txt": 404, "/out": 404, "/sub/a.txt": 200, "/sub/": 404, "/": 200 },
  };
  for (const [symlinks, statuses] of Object.entries(expected)) {
    const { site, root } = await serve(t, { symlinks });
    mkdirSync(join(root, "sub"));
    put(root, ["index.html", "sub/a.txt", "../secret.txt"]);
    symlinkSync("sub/a.txt", join(root, "in"));
    symlinkSync("sub", join(root, "dir"));
    symlinkSync("../secret.txt", join(root, "out"));
    symlinkSync("/etc", join(root, "etc"));
    symlinkSync("/dev/zero", join(root, "zero"));
    for (const [path, status] of Object.entries(statuses))
      assert.equal((await request(site.port, `GET ${path}`)).status, status, `${symlinks} ${path}`);
  }
});

test("symlinks: none still lets the directory itself be one", async (t) => {
  const directory = temporaryDirectory(t);
  for (const release of ["one", "two"]) {
    mkdirSync(join(directory, release));
    writeFileSync(join(directory, release, "a.txt"), release);
  }
  symlinkSync("one", join(directory, "current"));
  const mounts = [
    { mountpoint: "/", keys: { origin: `file://${directory}/current`, symlinks: "none" } },
  ];
  const site = await startSite(t, { vhosts: [{ name: "a.test", mounts }] });
  assert.equal((await request(site.port, "GET /a.txt")).body, "one");
  symlinkSync("two", join(directory, "next"));
  renameSync(join(directory, "next"), join(directory, "current"));
  assert.equal((await request(site.port, "GET /a.txt")).body, "two");
});
