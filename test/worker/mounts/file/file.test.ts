import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { createDocroot, type Tracing } from "../../../../worker/docroot.ts";
import { HttpError } from "../../../../worker/http/exchange.ts";
import { cachePolicy } from "../../../../worker/mounts/file/cache-policy.ts";
import {
  startSite,
  temporaryDirectory,
  type TestMount,
  type TestSite,
} from "../../../helpers/site.ts";
import { connect, exchangeBytes, parseReplies, request, statusOf } from "../../../helpers/wire.ts";

const SECRET = "outside of the root";

/** A docroot with everything that should not get out of it, beside one that must not be reached. */
function makeTree(t: TestContext): string {
  const directory = temporaryDirectory(t);
  const root = join(directory, "www");
  for (const name of [
    "www/sub",
    "www/empty",
    "www/.git",
    "www/.well-known",
    "www/sub/.well-known",
    "www-secret",
    "www/a&b",
  ])
    mkdirSync(join(directory, name), { recursive: true });
  const files = {
    "secret.txt": SECRET,
    "www-secret/secret.txt": SECRET,
    "www/index.html": "<p>index",
    "www/page.html": "<p>page",
    "www/a b.txt": "space",
    "www/a+b.txt": "plus",
    "www/back\\slash.txt": "backslash",
    "www/a%2fb.txt": "percent",
    "www/sub/index.html": "<p>sub",
    "www/sub/file.txt": "file",
    "www/.git/config": "hidden",
    "www/.env": "hidden",
    "www/.well-known/x": "known",
    "www/.well-known/.x": "hidden",
    "www/sub/.well-known/x": "hidden",
    "www/a&b/index.html": "odd",
    "www/empty.bin": "",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  symlinkSync("../secret.txt", join(root, "link_out"));
  symlinkSync("/etc", join(root, "link_etc"));
  symlinkSync("sub/file.txt", join(root, "link_in"));
  symlinkSync("sub", join(root, "link_sub"));
  symlinkSync("loop", join(root, "loop"));
  symlinkSync("nowhere", join(root, "dangling"));
  symlinkSync("/dev/zero", join(root, "link_dev"));
  execFileSync("mkfifo", [join(root, "fifo")]);
  return root;
}

function serve(
  t: TestContext,
  root: string,
  keys: Record<string, unknown> = {},
  more: readonly TestMount[] = [],
): Promise<TestSite> {
  const mounts = [{ mountpoint: "/", keys: { origin: `file://${root}`, ...keys } }, ...more];
  return startSite(t, { vhosts: [{ name: "a.test", mounts }] });
}

/** [target, status, body] */
const PATHS: readonly (readonly [
  target: string,
  status: number | readonly number[],
  body?: string,
])[] = [
  ["/", 200, "<p>index"],
  ["/index.html", 200, "<p>index"],
  ["/sub/", 200, "<p>sub"],
  ["/sub/file.txt", 200, "file"],
  ["/sub/./../sub//file.txt", 200, "file"],
  ["/nothing/%2e%2e/sub/file.txt", 200, "file"],
  ["http://a.test/sub/file.txt", 200, "file"],
  ["/a%20b.txt", 200, "space"],
  ["/a+b.txt", 200, "plus"],
  ["/a%2bb.txt", 200, "plus"],
  ["/back\\slash.txt", 200, "backslash"],
  ["/back%5cslash.txt", 200, "backslash"],
  ["/a%252fb.txt", 200, "percent"],
  ["/empty.bin", 200, ""],
  ["/link_in", 200, "file"],
  ["/link_sub/file.txt", 200, "file"],
  ["/.well-known/x", 200, "known"],

  ["/../secret.txt", [400, 404]],
  ["/sub/../../secret.txt", [400, 404]],
  ["/%2e%2e/secret.txt", [400, 404]],
  ["/.%2e/secret.txt", [400, 404]],
  ["/%2e./secret.txt", [400, 404]],
  ["/..%2fsecret.txt", [400, 404]],
  ["/sub%2f..%2f..%2fsecret.txt", [400, 404]],
  ["/%252e%252e/secret.txt", 404],
  ["/..%252fsecret.txt", 404],
  ["/..%255csecret.txt", 404],
  ["/..\\secret.txt", 404],
  ["/..%5csecret.txt", 404],
  ["/....//secret.txt", 404],
  ["/..;/secret.txt", 404],
  ["/sub;/file.txt", 404],
  ["/static../secret.txt", 404],
  ["/../www-secret/secret.txt", [400, 404]],
  ["//etc/passwd", 404],
  ["/%2fetc/passwd", 404],
  ["/etc/passwd%00.html", 400],
  ["/index.html%00.png", 400],
  ["/%c0%ae%c0%ae/secret.txt", 404],
  ["/%ff", 404],
  ["/%uff0e", 400],
  ["/%", 400],
  ["/a%", 400],
  ["/.git/config", 404],
  ["/.git", 404],
  ["/.env", 404],
  ["/%2eenv", 404],
  ["/.well-known/.x", 404],
  ["/sub/.well-known/x", 404],
  ["/link_out", 404],
  ["/link_etc/passwd", 404],
  ["/link_etc", 404],
  ["/link_dev", 404],
  ["/loop", 404],
  ["/dangling", 404],
  ["/fifo", 404],
  ["/empty/", 404],
  ["/index.html/", 404],
  ["/index.html/foo", 404],
  ["/index.html%2f", 404],
  ["/a+b.txt2", 404],
  [`/${"n".repeat(5_001)}`, 404],
  [`/${"d/".repeat(3_000)}x`, 404],
  ["/sub%0d%0aX-Inj:y", [400, 404]],
];

for (const [target, status, body] of PATHS)
  test(`file mount: ${target.slice(0, 60)}`, async (t) => {
    const site = await serve(t, makeTree(t));
    const reply = await request(site.port, `GET ${target}`);
    const expected = typeof status === "number" ? [status] : status;
    assert.ok(expected.includes(reply.status), String(reply.status));
    if (body !== undefined) assert.equal(reply.body, body);
    assert.ok(
      !reply.body.includes(SECRET) &&
        !reply.body.includes("hidden") &&
        !reply.body.includes("root:"),
    );
  });

test("file mount sends directories to their slash, keeping the query and never to another host", async (t) => {
  const root = makeTree(t);
  mkdirSync(join(root, "\\evil"));
  mkdirSync(join(root, "n\nl"));
  const site = await serve(t, root, {}, [
    { mountpoint: "/files", keys: { origin: `file://${root}` } },
  ]);
  const cases = [
    ["/sub", "/sub/"],
    ["/sub?a=b&c", "/sub/?a=b&c"],
    ["//sub", "/sub/"],
    ["/%2fsub", "/sub/"],
    ["/link_sub", "/link_sub/"],
    ["/a&b", "/a&b/"],
    ["/\\evil", "/%5Cevil/"],
    ["//\\evil", "/%5Cevil/"],
    ["/files", "/files/"],
    ["/files?x", "/files/?x"],
    ["/files/sub", "/files/sub/"],
  ] as const;
  for (const [target, location] of cases) {
    const reply = await request(site.port, `GET ${target}`);
    assert.deepEqual([reply.status, reply.headers.get("location")], [301, location], target);
  }
  assert.equal((await request(site.port, "GET //example.com/%2e%2e")).status, 200);
});

test("file mount answers GET and HEAD, names its methods, and refuses the others", async (t) => {
  const site = await serve(t, makeTree(t));
  const get = await request(site.port, "GET /sub/file.txt");
  const head = await request(site.port, "HEAD /sub/file.txt");
  const fields = (reply: typeof get): unknown[] =>
    [...reply.headers].filter(([name]) => name !== "date");
  assert.deepEqual(fields(head), fields(get));
  assert.equal(head.body, "");
  const options = await request(site.port, "OPTIONS /sub/file.txt");
  assert.deepEqual(
    [options.status, options.headers.get("allow"), options.headers.get("content-length")],
    [204, "GET, HEAD, OPTIONS", undefined],
  );
  for (const method of ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"]) {
    const reply = await request(site.port, `${method} /sub/file.txt`);
    assert.deepEqual(
      [reply.status, reply.headers.get("allow")],
      [405, "GET, HEAD, OPTIONS"],
      method,
    );
  }
});

test("file mount answers conditions with 304 and 412, and 304 carries what 200 would", async (t) => {
  const root = makeTree(t);
  const site = await serve(t, root, {
    "cache-max-age": 60,
    "cache-reuse": 1,
    headers: { "X-A": "1" },
  });
  const path = join(root, "page.html");
  utimesSync(path, 1_700_000_000, 1_700_000_000);
  const whole = await request(site.port, "GET /page.html");
  const etag = whole.headers.get("etag") ?? "";
  const modified = whole.headers.get("last-modified") ?? "";
  assert.match(etag, /^"[\w-]+"$/);
  assert.equal(modified, new Date(1_700_000_000_000).toUTCString());
  const cases = [
    [`If-None-Match: ${etag}`, 304],
    [`If-None-Match: W/${etag}`, 304],
    [`If-None-Match: "x", ${etag}`, 304],
    ["If-None-Match: *", 304],
    ['If-None-Match: "x"', 200],
    [`If-Modified-Since: ${modified}`, 304],
    ["If-Modified-Since: garbage", 200],
    ['If-Match: "x"', 412],
    [`If-Match: ${etag}`, 200],
  ] as const;
  for (const [field, status] of cases) {
    const reply = await request(site.port, "GET /page.html", [field]);
    assert.equal(reply.status, status, field);
    if (status !== 304) continue;
    assert.equal(reply.headers.get("content-length"), undefined);
    for (const name of ["etag", "last-modified", "cache-control", "x-a"])
      assert.equal(reply.headers.get(name), whole.headers.get(name), name);
    assert.ok(reply.headers.has("date"));
  }
  assert.equal((await request(site.port, "GET /gone", ['If-Match: "x"'])).status, 404);
  appendFileSync(path, "more");
  assert.equal(
    (await request(site.port, "GET /page.html", [`If-None-Match: ${etag}`])).status,
    200,
  );
});

test("file mount never dates a file in the future", async (t) => {
  const root = makeTree(t);
  const site = await serve(t, root);
  utimesSync(join(root, "page.html"), 9_000_000_000, 9_000_000_000);
  const { headers } = await request(site.port, "GET /page.html");
  assert.ok(Date.parse(headers.get("last-modified") ?? "") <= Date.now());
});

test("cachePolicy says what lwsws says, in RFC syntax", () => {
  const cases = [
    [0, 0, 0, 0, 0, "no-store"],
    [60, 0, 0, 0, 0, "no-store"],
    [0, 1, 0, 0, 0, "no-store"],
    [0, 1, 1, 1, 0, "no-store"],
    [60, 0, 1, 1, 0, "no-store"],
    [60, 1, 0, 0, 0, "private, max-age=60"],
    [60, 1, 0, 1, 0, "public, max-age=60"],
    [60, 1, 1, 0, 0, "must-revalidate, private, max-age=60"],
    [60, 1, 1, 1, 0, "must-revalidate, public, max-age=60"],
    [0, 0, 0, 0, 1, "no-cache"],
    [60, 1, 1, 1, 1, "no-cache"],
  ] as const;
  for (const [age, reuse, revalidate, intermediaries, no, expected] of cases)
    assert.equal(
      cachePolicy({
        "cache-max-age": age,
        "cache-reuse": reuse === 1,
        "cache-revalidate": revalidate === 1,
        "cache-intermediaries": intermediaries === 1,
        "cache-no": no === 1,
      }),
      expected,
    );
});

test("file mount leaves Cache-Control to configured headers", async (t) => {
  const site = await serve(t, makeTree(t), { headers: { "cache-control": "max-age=9" } });
  assert.equal((await request(site.port, "GET /")).headers.get("cache-control"), "max-age=9");
  assert.equal((await request(site.port, "GET /nope")).headers.get("cache-control"), undefined);
});

test("file mount knows media types, its own before the registered ones", async (t) => {
  const root = makeTree(t);
  const types = { ".tar.gz": "application/x-own", ".HTML": "text/own", ".bin": "" };
  const site = await serve(t, root, { "extra-mimetypes": types }, [
    {
      mountpoint: "/any",
      keys: { origin: `file://${root}`, "extra-mimetypes": { "*": "text/any" } },
    },
    { mountpoint: "/none", keys: { origin: `file://${root}`, "extra-mimetypes": { "*": "" } } },
    { mountpoint: "/plain", keys: { origin: `file://${root}` } },
  ]);
  for (const name of ["x.tar.gz", "x.gz", "x.js", "x.SVG", "x.wasm", "noext", "x.unknownext"])
    writeFileSync(join(root, name), name);
  const cases = [
    ["/x.tar.gz", "application/x-own"],
    ["/x.gz", "application/gzip"],
    ["/page.html", "text/own"],
    ["/empty.bin", undefined],
    ["/x.js", "text/javascript"],
    ["/x.SVG", "image/svg+xml"],
    ["/x.wasm", "application/wasm"],
    ["/noext", "application/octet-stream"],
    ["/x.unknownext", "application/octet-stream"],
    ["/any/noext", "text/any"],
    ["/any/x.js", "text/javascript"],
    ["/none/noext", undefined],
    ["/plain/sub/", "text/html"],
  ] as const;
  for (const [target, type] of cases)
    assert.equal(
      (await request(site.port, `GET ${target}`)).headers.get("content-type"),
      type,
      target,
    );
});

test("file mount serves another index file where one is configured", async (t) => {
  const site = await serve(t, makeTree(t), { default: "page.html" });
  assert.equal((await request(site.port, "GET /")).body, "<p>page");
  assert.equal((await request(site.port, "GET /sub/")).status, 404);
});

test(
  "file mount refuses what it may not read with 403",
  { skip: process.getuid?.() === 0 && "root reads everything" },
  async (t) => {
    const root = makeTree(t);
    const site = await serve(t, root);
    chmodSync(join(root, "page.html"), 0);
    assert.equal((await request(site.port, "GET /page.html")).status, 403);
  },
);

test("file mount streams large files, whole and over a kept connection", async (t) => {
  const root = makeTree(t);
  const site = await serve(t, root);
  for (const size of [65_535, 65_536, 65_537, 3_000_000]) {
    const text = Array.from({ length: Math.ceil(size / 8) }, (_, index) =>
      String(index).padStart(8, "0"),
    )
      .join("")
      .slice(0, size);
    writeFileSync(join(root, "large"), text);
    const wire = await connect(site.port);
    wire.write("GET /large HTTP/1.1\r\nHost: a.test\r\n\r\n".repeat(2));
    const replies = await wire.replies(2);
    assert.deepEqual(
      replies.map((reply) => reply.body === text),
      [true, true],
      String(size),
    );
    wire.socket.destroy();
  }
});

test("file mount cuts the connection when a file shrinks while it is sent", async (t) => {
  const root = makeTree(t);
  const site = await serve(t, root);
  const path = join(root, "large");
  // More than all buffers on the way hold, so that the server is still reading when the file shrinks.
  writeFileSync(path, "");
  truncateSync(path, 64_000_000);
  const wire = await connect(site.port);
  wire.write("GET /large HTTP/1.1\r\nHost: a.test\r\n\r\n");
  await once(wire.socket, "data");
  wire.socket.pause();
  truncateSync(path, 1_000_000);
  wire.socket.resume();
  const received = await wire.rest();
  assert.equal(statusOf(received), 200);
  assert.equal(parseReplies(received).replies.length, 0);
  assert.equal(site.counters.vhost("a.test:80").aborted, 1);
});

test("file mount keeps the announced length when a file grows while it is sent", async (t) => {
  const root = makeTree(t);
  const site = await serve(t, root);
  const path = join(root, "large");
  writeFileSync(path, "");
  truncateSync(path, 32_000_000);
  const wire = await connect(site.port);
  wire.write("GET /large HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
  await once(wire.socket, "data");
  truncateSync(path, 64_000_000);
  const { replies, rest } = parseReplies(await wire.rest());
  assert.deepEqual([replies[0]?.body.length, rest], [32_000_000, ""]);
});

test("file mount closes its files, also when clients leave early", async (t) => {
  const root = makeTree(t);
  const site = await serve(t, root);
  writeFileSync(join(root, "large"), "");
  truncateSync(join(root, "large"), 64_000_000);
  for (let count = 0; count < 20; count += 1) {
    const socket = net.connect(site.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write("GET /large HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await once(socket, "data");
    socket.resetAndDestroy();
  }
  for (const target of ["/", "/sub", "/link_out", "/fifo", "/.env", "/empty/"])
    await request(site.port, `GET ${target}`, ['If-None-Match: "x"']);
  await request(site.port, "HEAD /");
  await request(site.port, "GET /", ["If-None-Match: *"]);
  while (site.front.active > 0 || openBelow(root) > 0)
    await new Promise((resolve) => setImmediate(resolve));
  assert.equal(openBelow(root), 0);
});

function openBelow(root: string): number {
  if (!existsSync("/proc/self/fd")) return 0;
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(root);
    } catch {
      return false;
    }
  }).length;
}

for (const tracing of ["descriptor", "name"] as const satisfies readonly Tracing[])
  test(
    `createDocroot (${tracing}) opens what is inside and nothing else`,
    { skip: tracing === "descriptor" && !existsSync("/proc/self/fd") && "needs /proc" },
    async (t) => {
      const docroot = createDocroot(makeTree(t), "inside", tracing);
      const kinds = {
        "": "directory",
        "/": "directory",
        "/sub": "directory",
        "/link_sub/": "directory",
      };
      for (const [rest, kind] of Object.entries(kinds))
        assert.equal((await docroot.open(rest)).kind, kind);
      for (const rest of [
        "/link_out",
        "/link_etc/passwd",
        "/link_dev",
        "/fifo",
        "/loop",
        "/none",
        "/index.html/",
        "/link_in/",
      ])
        await assert.rejects(
          docroot.open(rest),
          (error) => error instanceof HttpError && error.status === 404,
          rest,
        );
      const found = await docroot.open("/link_in");
      assert.ok(found.kind === "file");
      assert.equal(found.stat.size, 4n);
    },
  );

test(
  "createDocroot never serves a file that is swapped for a link to the outside",
  { skip: !existsSync("/proc/self/fd") && "needs /proc" },
  async (t) => {
    const root = makeTree(t);
    const site = await serve(t, root);
    const swapper = execSwapper(t, root);
    let served = 0;
    for (let count = 0; count < 400; count += 1) {
      const replies = parseReplies(
        await exchangeBytes(
          site.port,
          `${"GET /swap HTTP/1.1\r\nHost: h\r\n\r\n".repeat(9)}GET /swap HTTP/1.0\r\n\r\n`,
        ),
      ).replies;
      for (const reply of replies) {
        assert.ok(!reply.body.includes(SECRET));
        if (reply.status === 200) served += 1;
      }
    }
    assert.ok(served > 0);
    assert.equal(swapper.exitCode, null);
  },
);

/** Another process turns "swap" from a file into a link and back, as fast as it can. */
function execSwapper(t: TestContext, root: string): ReturnType<typeof spawn> {
  const code = `
    const fs = require("node:fs");
    process.chdir(process.argv[1]);
    for (;;) {
      fs.writeFileSync("tmp1", "inside"); fs.renameSync("tmp1", "swap");
      fs.symlinkSync("../secret.txt", "tmp2"); fs.renameSync("tmp2", "swap");
    }`;
  const child = spawn(process.execPath, ["-e", code, root], { stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

test("file mount follows a root that is a link turned to another directory", async (t) => {
  const directory = temporaryDirectory(t);
  for (const release of ["1", "2"]) {
    mkdirSync(join(directory, release));
    writeFileSync(join(directory, release, "index.html"), release);
  }
  const current = join(directory, "current");
  symlinkSync("1", current);
  const site = await serve(t, current);
  assert.equal((await request(site.port, "GET /")).body, "1");
  symlinkSync("2", `${current}.new`);
  renameSync(`${current}.new`, current);
  rmSync(join(directory, "1"), { recursive: true });
  assert.equal((await request(site.port, "GET /")).body, "2");
});

test("file mount refuses a directory that is missing or none", async (t) => {
  const root = makeTree(t);
  const missing = await serve(t, join(root, "missing"));
  assert.match(missing.refused.join(), /^origin: Cannot use the directory ".*missing": ENOENT/);
  const none = await serve(t, join(root, "index.html"));
  assert.match(none.refused.join(), /^origin: ".*index\.html" is not a directory$/);
});
