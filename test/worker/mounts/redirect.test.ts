import assert from "node:assert/strict";
import { test } from "node:test";
import { startSite } from "../../helpers/site.ts";
import { request } from "../../helpers/wire.ts";

test("redirect mount sends everything to its location", async (t) => {
  const keys = { origin: ">https://example.com/x?y" };
  const site = await startSite(t, { vhosts: [{ name: "h", mounts: [{ mountpoint: "/", keys }] }] });
  for (const line of ["GET /", "HEAD /a", "GET /a/b?c", "POST /a"]) {
    const reply = await request(site.port, line);
    assert.deepEqual(
      [reply.status, reply.headers.get("location"), reply.body],
      [301, keys.origin.slice(1), ""],
    );
  }
});

test("redirect mount with append-path joins with one slash and keeps the query", async (t) => {
  const cases = [
    ["https://x.test", "/", "/", "https://x.test/"],
    ["https://x.test", "/", "/foo", "https://x.test/foo"],
    ["https://x.test/", "/", "/foo", "https://x.test/foo"],
    ["https://x.test/a", "/old", "/old", "https://x.test/a"],
    ["https://x.test/a/", "/old", "/old", "https://x.test/a/"],
    ["https://x.test/a/", "/old", "/old/", "https://x.test/a/"],
    ["https://x.test/a//", "/old", "/old//b//c/", "https://x.test/a/b/c/"],
    ["https://x.test", "/", "//evil/%2e%2e/x", "https://x.test/x"],
    ["https://x.test", "/", "/a%20b%22%5c%ff%0b", "https://x.test/a%20b%22%5C%FF%0B"],
    ["https://x.test", "/", "/a?b=%20&c", "https://x.test/a?b=%20&c"],
    ["https://x.test/a", "/old", "/old?b", "https://x.test/a?b"],
    ["https://x.test", "/", "/@evil", "https://x.test/@evil"],
  ] as const;
  for (const [location, mountpoint, target, expected] of cases) {
    const keys = { origin: `>${location}`, "append-path": 1 };
    const site = await startSite(t, { vhosts: [{ name: "h", mounts: [{ mountpoint, keys }] }] });
    const reply = await request(site.port, `GET ${target}`);
    assert.deepEqual([reply.status, reply.headers.get("location")], [301, expected], target);
  }
});

test("redirect mount refuses to append a path behind a query", async (t) => {
  const keys = { origin: ">https://x.test/?a", "append-path": 1 };
  const site = await startSite(t, { vhosts: [{ name: "h", mounts: [{ mountpoint: "/", keys }] }] });
  assert.match(site.refused.join(), /^origin: /);
});
