import assert from "node:assert/strict";
import { test } from "node:test";
import { mountShape } from "../../config/mount.ts";
import { vhostShape } from "../../config/vhost.ts";
import { emptyVhostCounters } from "../../ipc/stats.ts";
import {
  buildMountMatcher,
  createRouter,
  createSiteVhost,
  type LiveMount,
  type SiteVhost,
} from "../../worker/router.ts";

function mount(mountpoint: string, keys: Record<string, unknown> = {}): LiveMount {
  const shape = mountShape.parse({ mountpoint, origin: "callback://x", ...keys });
  return { config: { ...shape, path: mountpoint }, mount: { handle() {} } };
}

function vhost(name: string, keys: Record<string, unknown> = {}, secure = false): SiteVhost {
  return createSiteVhost({
    config: {
      ...vhostShape.parse({ name, ...keys }),
      mounts: [],
      "ws-protocols": [],
      where: { file: "", path: "" },
    },
    key: `${name}:80`,
    secure,
    counters: emptyVhostCounters(),
    accessLog: undefined,
    protocols: new Map(),
    mounts: [mount("/", { headers: { "X-B": "mount" } })],
  });
}

test("buildMountMatcher takes the longest mountpoint on a segment boundary", () => {
  const match = buildMountMatcher(
    [],
    ["/", "/git", "/git/static", "/a/b/c/d"].map((at) => mount(at)),
  );
  const cases = [
    ["/", "/", "/"],
    ["/x", "/", "/x"],
    ["/git", "/git", ""],
    ["/git/", "/git", "/"],
    ["/git/repo/log", "/git", "/repo/log"],
    ["/gitx", "/", "/gitx"],
    ["/git/static", "/git/static", ""],
    ["/git/static/x.css", "/git/static", "/x.css"],
    ["/git/staticx", "/git", "/staticx"],
    ["/a/b/c", "/", "/a/b/c"],
    ["/a/b/c/d/e/f", "/a/b/c/d", "/e/f"],
  ] as const;
  for (const [path, mountpoint, rest] of cases) {
    const found = match(path);
    assert.deepEqual([found?.config.mountpoint, found?.rest], [mountpoint, rest], path);
  }
});

test("buildMountMatcher finds nothing without a mount for the root", () => {
  const match = buildMountMatcher([], [mount("/a")]);
  assert.equal(match("/"), undefined);
  assert.equal(match("/b"), undefined);
  assert.equal(match("/a/b")?.rest, "/b");
});

test("buildMountMatcher honours exact-match, also beside a prefix of the same name", () => {
  const match = buildMountMatcher(
    [],
    [
      mount("/a"),
      mount("/a", { "exact-match": "1" }),
      mount("/b", { "exact-match": "1" }),
      mount("/", { "exact-match": "1" }),
    ],
  );
  assert.equal(match("/a")?.config["exact-match"], true);
  assert.equal(match("/a/")?.config["exact-match"], false);
  assert.equal(match("/b")?.rest, "");
  assert.equal(match("/b/c"), undefined);
  assert.equal(match("/")?.rest, "");
  assert.equal(match("/c"), undefined);
});

test("buildMountMatcher compares bytes", () => {
  const match = buildMountMatcher([], [mount("/b\u00fccher")]);
  assert.equal(match("/b\xc3\xbccher/x")?.rest, "/x");
});

test("buildMountMatcher looks at no more segments than its deepest mountpoint has", () => {
  const deep = `/a${"/x".repeat(4_000)}`;
  const match = buildMountMatcher(
    [],
    Array.from({ length: 10_000 }, (_, index) => mount(index === 0 ? "/a" : `/m${index}`)),
  );
  assert.equal(match(deep)?.config.mountpoint, "/a");
  assert.equal(match("/m9999/x")?.config.mountpoint, "/m9999");
});

test("createRouter finds vhosts by listener and host, else the first", () => {
  const [a, b, c, d] = ["a.test", "B.test", "[::1]", "d.test"].map((name) => vhost(name));
  assert.ok(a && b && c && d);
  const router = createRouter([
    { listener: "80", vhosts: [a, b, c], overrides: [{ address: "127.0.0.2", vhosts: [d, b] }] },
    { listener: "81", vhosts: [b], overrides: [] },
  ]);
  const cases = [
    ["80", "127.0.0.1", "a.test", a],
    ["80", "127.0.0.1", "b.test", b],
    ["80", "127.0.0.1", "[::1]", c],
    ["80", "127.0.0.1", "d.test", a],
    ["80", "127.0.0.1", undefined, a],
    ["80", "127.0.0.2", "a.test", d],
    ["80", "127.0.0.2", "b.test", b],
    ["81", "127.0.0.1", "a.test", b],
  ] as const;
  for (const [listener, address, host, found] of cases)
    assert.equal(router.find(listener, address, host), found, `${listener} ${address} ${host}`);
  assert.throws(() => router.find("82", "127.0.0.1", "a.test"), /"82"/);
});

test("createRouter takes a wildcard for one label, and an exact name before it", () => {
  const names = ["first.test", "*.a.test", "x.a.test", "*.B\u00fccher.test"];
  const vhosts = names.map((name) => vhost(name));
  const router = createRouter([{ listener: "80", vhosts, overrides: [] }]);
  const cases = [
    ["y.a.test", 1],
    ["x.a.test", 2],
    ["a.test", 0],
    ["z.y.a.test", 0],
    [".a.test", 0],
    ["a.xn--bcher-kva.test", 3],
  ] as const;
  for (const [host, index] of cases)
    assert.equal(router.find("80", "127.0.0.1", host), vhosts[index], host);
});

test("createSiteVhost combines the fields of vhost and mount, and sends HSTS over TLS only", () => {
  const headers = [{ "X-A": "vhost" }, { "x-b": "vhost" }];
  const secure = vhost("a.test", { headers, sts: "1" }, true);
  const hsts = ["Strict-Transport-Security", "max-age=15768000; includeSubDomains"];
  assert.deepEqual(secure.headers.fields, [["X-A", "vhost"], ["x-b", "vhost"], hsts]);
  assert.deepEqual(secure.match("/")?.headers.fields, [["X-A", "vhost"], ["X-B", "mount"], hsts]);
  assert.deepEqual(vhost("a.test", { sts: "1" }).headers.fields, []);
});
