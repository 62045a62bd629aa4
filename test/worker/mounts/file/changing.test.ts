// Files that change while they are sent: nobody gets a wrong length, or the beginning of one version with the end of another.

import assert from "node:assert/strict";
import { once } from "node:events";
import {
  appendFileSync,
  closeSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { startSite, temporaryDirectory, type TestSite } from "../../../helpers/site.ts";
import { connect, parseReplies, request } from "../../../helpers/wire.ts";
import { FileChanged, readPieces, readWhole } from "../../../../worker/mounts/file/read.ts";
import { createDocroot } from "../../../../worker/docroot.ts";
import type { Content } from "../../../../worker/http/representation.ts";

/** More than all buffers on the way hold, so that the server is still reading when the file changes. */
const SIZE = 32_000_000;
const MIME_OF_NOTHING = { "extra-mimetypes": { "*": "" } };

type Served = { readonly site: TestSite; readonly path: string; readonly root: string };

async function serve(t: TestContext): Promise<Served> {
  const root = temporaryDirectory(t);
  const path = join(root, "large");
  writeFileSync(path, Buffer.alloc(SIZE, "a"));
  const mounts = [{ mountpoint: "/", keys: { origin: `file://${root}`, ...MIME_OF_NOTHING } }];
  return { root, path, site: await startSite(t, { vhosts: [{ name: "a.test", mounts }] }) };
}

/** What a client gets whose server finds the file changed in the middle. */
async function download(site: TestSite, change: () => void): Promise<string> {
  const wire = await connect(site.port);
  wire.write("GET /large HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
  await once(wire.socket, "data");
  wire.socket.pause();
  change();
  wire.socket.resume();
  return wire.rest();
}

const CHANGES: readonly (readonly [name: string, change: (path: string) => void])[] = [
  [
    "is overwritten in place",
    (path) => {
      const fd = openSync(path, "r+");
      writeSync(fd, Buffer.alloc(SIZE, "b"));
      closeSync(fd);
    },
  ],
  [
    "is replaced by a longer one in place",
    (path) => writeFileSync(path, Buffer.alloc(SIZE + 1, "b")),
  ],
  ["is replaced by a shorter one in place", (path) => writeFileSync(path, "b")],
];

for (const [name, change] of CHANGES)
  test(`file mount cuts the answer when its file ${name}`, async (t) => {
    const { site, path } = await serve(t);
    const received = await download(site, () => change(path));
    assert.equal(parseReplies(received).replies.length, 0);
    assert.ok(!received.slice(received.indexOf("\r\n\r\n")).includes("b"));
    assert.equal(site.counters.vhost("a.test:80").aborted, 1);
  });

test("file mount sends the old version to its end when another file takes the name", async (t) => {
  const { site, path, root } = await serve(t);
  const received = await download(site, () => {
    writeFileSync(join(root, "next"), Buffer.alloc(SIZE, "b"));
    renameSync(join(root, "next"), path);
  });
  const [reply] = parseReplies(received).replies;
  assert.ok(reply?.body === "a".repeat(SIZE));
});

test("file mount sends what a log was when it was asked for, though lines are added", async (t) => {
  const { site, path } = await serve(t);
  const received = await download(site, () => appendFileSync(path, "more"));
  const [reply] = parseReplies(received).replies;
  assert.ok(reply?.body === "a".repeat(SIZE));
});

async function openContent(root: string, name: string): Promise<Content> {
  const found = await createDocroot(root).open(name);
  assert.ok(found.kind === "file");
  return { kind: "descriptor", fd: found.fd, stat: found.stat };
}

test("readWhole and readPieces refuse bytes of a version that was not announced", async (t) => {
  const root = temporaryDirectory(t);
  writeFileSync(join(root, "a"), "old version");
  const content = await openContent(root, "/a");
  t.after(() => content.kind === "descriptor" && closeSync(content.fd));
  const piece = [{ start: 0, end: 11 }];
  assert.equal(String(Buffer.from(await readWhole(content, piece, 11))), "old version");
  writeFileSync(join(root, "a"), "new version");
  utimesSync(join(root, "a"), 1, 1);
  await assert.rejects(readWhole(content, piece, 11), FileChanged);
  await assert.rejects(readPieces(content, piece).next(), FileChanged);
});

test("file mount opens a small file again that changed between look and read", async (t) => {
  const { site, root } = await serve(t);
  const path = join(root, "small.txt");
  let version = 0;
  let isOver = false;
  const write = async (): Promise<void> => {
    while (!isOver) {
      version += 1;
      writeFileSync(path, String(version % 10).repeat(2_000 + version));
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  writeFileSync(path, "");
  const writing = write();
  for (let count = 0; count < 200; count += 1) {
    const { status, body } = await request(site.port, "GET /small.txt", [
      "Accept-Encoding: br;q=0",
    ]);
    assert.ok(status === 200 || status === 503);
    if (status === 200) assert.match(body, /^(.?)\1*$/);
  }
  isOver = true;
  await writing;
});

test(
  "file mount closes what it opened beside a file",
  { skip: process.platform !== "linux" },
  async (t) => {
    const { site, root } = await serve(t);
    writeFileSync(join(root, "page.html"), "text ".repeat(1_000));
    writeFileSync(join(root, "style.css"), "text ".repeat(1_000));
    writeFileSync(join(root, "style.css.gz"), gzipSync("text"));
    const fields = [[], ["Accept-Encoding: gzip, br"], ["Accept-Encoding: br", "If-None-Match: *"]];
    for (const path of ["/page.html", "/style.css", "/none", "/"])
      for (const more of [
        ...fields,
        ["Range: bytes=9999-"],
        ["Range: bytes=0-1,4-5"],
        ['If-Match: "x"'],
      ])
        for (const method of ["GET", "HEAD"]) await request(site.port, `${method} ${path}`, more);
    const open = (): string[] =>
      readdirSync("/proc/self/fd").flatMap((fd) => {
        try {
          const target = readlinkSync(`/proc/self/fd/${fd}`);
          return target.startsWith(root) ? [target] : [];
        } catch {
          return [];
        }
      });
    while (open().length > 0) await new Promise((resolve) => setImmediate(resolve));
  },
);
