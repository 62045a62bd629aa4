import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { HttpError } from "../../worker/http/exchange.ts";
import { startSite, temporaryDirectory, type TestMount, type TestSite } from "../helpers/site.ts";
import { exchangeBytes, request } from "../helpers/wire.ts";

type Served = { readonly site: TestSite; readonly root: string };

async function serve(
  t: TestContext,
  keys: Record<string, unknown>,
  mountKeys: Record<string, unknown> = {},
  more: readonly TestMount[] = [],
): Promise<Served> {
  const root = temporaryDirectory(t);
  mkdirSync(join(root, "errors"));
  const files = {
    "index.html": "index",
    "errors/404.html": "<p>not here",
    "errors/shop.html": "<p>not in the shop",
    "errors/405.txt": "wrong method",
    "errors/400.html": "<p>nonsense",
    "errors/500.html": "<p>broken",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text);
  const mounts = [{ mountpoint: "/", keys: { origin: `file://${root}`, ...mountKeys } }, ...more];
  return { root, site: await startSite(t, { vhosts: [{ name: "a.test", keys, mounts }] }) };
}

test("error-pages are sent with the status of the error, and with none of what belongs to the file", async (t) => {
  const pages = { "404": "/errors/404.html", "405": "/errors/405.txt", "412": "/errors/404.html" };
  const { site } = await serve(
    t,
    { "error-pages": pages },
    { "cache-max-age": 60, "cache-reuse": 1 },
  );
  assert.deepEqual(site.refused, []);
  const missing = await request(site.port, "GET /none", ["Range: bytes=0-1", "If-None-Match: *"]);
  assert.deepEqual([missing.status, missing.body], [404, "<p>not here"]);
  assert.equal(missing.headers.get("content-type"), "text/html");
  for (const name of [
    "etag",
    "last-modified",
    "cache-control",
    "accept-ranges",
    "content-encoding",
  ])
    assert.equal(missing.headers.get(name), undefined, name);
  const head = await request(site.port, "HEAD /none");
  assert.deepEqual([head.status, head.body, head.headers.get("content-length")], [404, "", "11"]);
  const post = await request(site.port, "POST /");
  assert.deepEqual([post.status, post.body], [405, "wrong method"]);
  assert.deepEqual(
    [post.headers.get("content-type"), post.headers.get("allow")],
    ["text/plain", "GET, HEAD, OPTIONS"],
  );
  const failed = await request(site.port, "GET /", ['If-Match: "x"']);
  assert.deepEqual([failed.status, failed.body], [412, "<p>not here"]);
  // The page itself is a file like any other, and other errors have the built-in page.
  assert.equal((await request(site.port, "GET /errors/404.html")).status, 200);
  assert.match((await request(site.port, "TRACE /none")).body, /wrong method/);
});

test("error-pages of a mount go before those of the vhost, which hold where there is no mount", async (t) => {
  const root = temporaryDirectory(t);
  const fails: TestMount = {
    mountpoint: "/fails",
    handle: () => {
      throw new HttpError(500, "secret of the house");
    },
  };
  const shop = {
    mountpoint: "/shop",
    keys: { origin: `file://${root}`, "error-pages": { "404": "/errors/shop.html" } },
  };
  const pages = { "404": "/errors/404.html", "405": "/errors/405.txt", "500": "/errors/500.html" };
  const { site } = await serve(t, { "error-pages": pages }, {}, [shop, fails]);
  const bodies = [
    ["GET /shop/none", "<p>not in the shop"],
    ["POST /shop/none", "wrong method"],
    ["GET /none", "<p>not here"],
    ["GET /fails", "<p>broken"],
  ] as const;
  for (const [line, body] of bodies) assert.equal((await request(site.port, line)).body, body);
});

test("error-pages of the vhost hold for paths that no mount covers", async (t) => {
  const root = temporaryDirectory(t);
  writeFileSync(join(root, "404.html"), "<p>not here");
  for (const key of ["error-pages", "error-document-404"]) {
    const path = "/files/404.html";
    const keys = { [key]: key === "error-pages" ? { "404": path } : path };
    const mounts = [{ mountpoint: "/files", keys: { origin: `file://${root}` } }];
    const site = await startSite(t, { vhosts: [{ name: "a.test", keys, mounts }] });
    const reply = await request(site.port, "GET /none");
    if (key === "error-pages") assert.deepEqual([reply.status, reply.body], [404, "<p>not here"]);
    else assert.deepEqual([reply.status, reply.headers.get("location")], [302, path]);
  }
});

test("error-pages answer malformed requests too", async (t) => {
  const { site } = await serve(t, { "error-pages": { "400": "/errors/400.html" } });
  for (const bytes of [
    "GET /% HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "junk\r\n\r\n",
  ]) {
    const reply = await exchangeBytes(site.port, bytes);
    assert.match(reply, /^HTTP\/1\.1 400 [^]*<p>nonsense$/);
  }
});

test("error-pages follow their files, and stay when these are gone", async (t) => {
  const { site, root } = await serve(t, { "error-pages": { "404": "/errors/404.html" } });
  const body = async (): Promise<string> => (await request(site.port, "GET /none")).body;
  assert.equal(await body(), "<p>not here");
  writeFileSync(join(root, "next"), "<p>moved");
  renameSync(join(root, "next"), join(root, "errors/404.html"));
  while ((await body()) !== "<p>moved") await new Promise((resolve) => setImmediate(resolve));
  rmSync(join(root, "errors"), { recursive: true });
  assert.equal(await body(), "<p>moved");
});

test("error-pages that are not there leave the built-in page, until they are", async (t) => {
  const { site, root } = await serve(t, { "error-pages": { "404": "/later.html" } });
  assert.deepEqual(site.refused, []);
  assert.match((await request(site.port, "GET /none")).body, /<h1>404 Not Found<\/h1>/);
  writeFileSync(join(root, "later.html"), "<p>late");
  const body = async (): Promise<string> => (await request(site.port, "GET /none")).body;
  while ((await body()) !== "<p>late") await new Promise((resolve) => setImmediate(resolve));
});

test("error-pages must lie on a file mount", async (t) => {
  const cgi: TestMount = { mountpoint: "/program", handle: (exchange) => exchange.send(200, []) };
  const pages = { "404": "/program/404", "500": "/errors/500.html" };
  const { site } = await serve(t, { "error-pages": pages }, {}, [cgi]);
  assert.deepEqual(site.refused, ['error-pages.404: No file mount serves "/program/404"']);
});

test("error-document-404 sends clients to a page that is itself not found", async (t) => {
  const { site } = await serve(t, { "error-document-404": "/errors/404.html" });
  for (const method of ["GET", "HEAD"]) {
    const reply = await request(site.port, `${method} /none?a=b`);
    assert.deepEqual(
      [reply.status, reply.headers.get("location"), reply.body],
      [302, "/errors/404.html", ""],
    );
  }
  const page = await request(site.port, "GET /errors/404.html");
  assert.deepEqual([page.status, page.body], [404, "<p>not here"]);
  assert.equal((await request(site.port, "GET /errors/500.html")).status, 200);
  assert.equal((await request(site.port, "GET /")).status, 200);
});

test("error-document-404 that is not there sends nobody round in a circle", async (t) => {
  const { site } = await serve(t, { "error-document-404": '/none and "more".html' });
  const reply = await request(site.port, "GET /x");
  assert.equal(reply.headers.get("location"), "/none%20and%20%22more%22.html");
  assert.equal((await request(site.port, `GET ${reply.headers.get("location")}`)).status, 404);
});

test("error-document-404 leaves a program that it leads to alone", async (t) => {
  const program: TestMount = {
    mountpoint: "/program",
    handle: (exchange) => exchange.send(410, [], "gone"),
  };
  const { site } = await serve(t, { "error-document-404": "/program" }, {}, [program]);
  assert.deepEqual(site.refused, []);
  assert.equal((await request(site.port, "GET /x")).headers.get("location"), "/program");
  assert.equal((await request(site.port, "GET /program")).status, 410);
});
