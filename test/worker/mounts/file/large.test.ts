// Large files, past Node's streams where that can be had, and through them: the same bytes, the same counts, the same ends.

import assert from "node:assert/strict";
import { once } from "node:events";
import {
  openSync,
  closeSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
  appendFileSync,
} from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { startSite, temporaryDirectory, type TestSite } from "../../../helpers/site.ts";
import { connect, parseReplies } from "../../../helpers/wire.ts";
import { openPageCache, type PageCache } from "../../../../posix/page-cache.ts";

const SIZE = 32_000_000;
const LONG_AGO = new Date("2020-01-01");
const MIME_OF_NOTHING = { "extra-mimetypes": { "*": "" } };

/** By sendfile(2); read from the page cache at once, as where there is TLS; read in threads. */
type Way = "sendfile" | "page cache" | "streams";

type Served = { readonly site: TestSite; readonly path: string; readonly passed: () => number };

/** A file that has rested; `passed` counts the bytes that went past Node's streams. */
async function serve(t: TestContext, way: Way): Promise<Served> {
  const root = temporaryDirectory(t);
  const path = join(root, "large");
  writeFileSync(path, pattern(SIZE));
  utimesSync(path, LONG_AGO, LONG_AGO);
  const native = await openPageCache();
  let passed = 0;
  const counting: PageCache | undefined =
    way !== "streams" && native
      ? {
          holds: (...args) => native.holds(...args),
          sightings: (file) => native.sightings(file),
          send(...args) {
            if (way === "page cache") return "unsupported";
            const sent = native.send(...args);
            if (typeof sent === "number") passed += sent;
            return sent;
          },
        }
      : undefined;
  const mounts = [{ mountpoint: "/", keys: { origin: `file://${root}`, ...MIME_OF_NOTHING } }];
  const vhosts = [{ name: "a.test", mounts }];
  const site = await startSite(t, { vhosts, pageCache: async () => counting });
  return { site, path, passed: () => passed };
}

function pattern(length: number): Buffer {
  return Buffer.alloc(length, "0123456789abcdefghijklmnopqrstuvw");
}

const GET = "GET /large HTTP/1.1\r\nHost: a.test\r\n";

for (const way of ["sendfile", "page cache", "streams"] as const) {
  const skip = way !== "streams" && process.platform !== "linux";

  test(
    `Large files arrive whole, in parts and over a kept connection (${way})`,
    { skip },
    async (t) => {
      const { site, passed } = await serve(t, way);
      const wire = await connect(site.port);
      wire.write(`${GET}\r\n${GET}Range: bytes=5-20000004\r\n\r\n${GET}Connection: close\r\n\r\n`);
      const { replies } = parseReplies(await wire.rest());
      const all = pattern(SIZE).toString("latin1");
      const bodies = [all, all.slice(5, 20_000_005), all];
      assert.deepEqual(
        replies.map(({ status, body }, index) => [status, body === bodies[index]]),
        [
          [200, true],
          [206, true],
          [200, true],
        ],
      );
      const counters = site.counters.vhost("a.test:80");
      assert.equal(counters.aborted, 0);
      const sentBytes = 2 * SIZE + 20_000_000;
      assert.ok(counters.tx > sentBytes && counters.tx < sentBytes + 2_000, `tx is ${counters.tx}`);
      if (way === "sendfile") assert.ok(passed() > sentBytes / 2, `${passed()} bytes passed`);
      else assert.equal(passed(), 0);
    },
  );

  const changes: readonly (readonly [name: string, change: (path: string) => void])[] = [
    ["shrinks", (path) => truncateSync(path, 1_000)],
    [
      "is overwritten in place",
      (path) => {
        const fd = openSync(path, "r+");
        writeSync(fd, Buffer.alloc(SIZE, "!"));
        closeSync(fd);
      },
    ],
  ];
  for (const [name, change] of changes)
    test(`Large files: one that ${name} while it is sent is cut (${way})`, { skip }, async (t) => {
      const { site, path, passed } = await serve(t, way);
      const wire = await connect(site.port);
      wire.write(`${GET}\r\n`);
      await once(wire.socket, "data");
      wire.socket.pause();
      change(path);
      wire.socket.resume();
      assert.equal(parseReplies(await wire.rest()).replies.length, 0);
      assert.equal(site.counters.vhost("a.test:80").aborted, 1);
      assert.equal(passed() > 0, way === "sendfile");
    });

  test(`Large files: one that grows is sent as announced (${way})`, { skip }, async (t) => {
    const { site, path } = await serve(t, way);
    const wire = await connect(site.port);
    wire.write(`${GET}Connection: close\r\n\r\n`);
    await once(wire.socket, "data");
    wire.socket.pause();
    appendFileSync(path, "more");
    wire.socket.resume();
    const { replies } = parseReplies(await wire.rest());
    assert.equal(replies[0]?.body.length, SIZE);
  });
}

test("Large files that were just written are copied: pages on their way would change with them", async (t) => {
  const { site, path, passed } = await serve(t, "sendfile");
  utimesSync(path, new Date(), new Date());
  const wire = await connect(site.port);
  wire.write(`${GET}Connection: close\r\n\r\n`);
  assert.equal(parseReplies(await wire.rest()).replies[0]?.body.length, SIZE);
  assert.equal(passed(), 0);
});

test("Large files: a file system without sendfile is read", async (t) => {
  const root = temporaryDirectory(t);
  writeFileSync(join(root, "large"), pattern(SIZE));
  utimesSync(join(root, "large"), LONG_AGO, LONG_AGO);
  let asked = 0;
  const pageCache: PageCache = {
    holds: () => false,
    sightings() {
      return undefined;
    },
    send() {
      asked += 1;
      return "unsupported";
    },
  };
  const mounts = [{ mountpoint: "/", keys: { origin: `file://${root}` } }];
  const site = await startSite(t, {
    vhosts: [{ name: "a.test", mounts }],
    pageCache: async () => pageCache,
  });
  const wire = await connect(site.port);
  wire.write(`${GET}Connection: close\r\n\r\n`);
  assert.equal(parseReplies(await wire.rest()).replies[0]?.body.length, SIZE);
  assert.equal(asked, 1);
});
