import assert from "node:assert/strict";
import { test } from "node:test";
import { connectionLimit } from "../../worker/admission.ts";
import { addressKey } from "../../worker/networks.ts";
import { createReports } from "../../worker/reports.ts";

test("connectionLimit keeps descriptors for everything else, whatever is configured", () => {
  assert.equal(connectionLimit(0, 1024), 704);
  assert.equal(connectionLimit(100, 1024), 100);
  assert.equal(connectionLimit(5_000, 1024), 704);
  assert.equal(connectionLimit(0, 20), 16);
  assert.equal(connectionLimit(0, undefined), Infinity);
  assert.equal(connectionLimit(7, undefined), 7);
});

test("addressKey takes a /64 of IPv6 for one client", () => {
  const keys = [
    ["192.0.2.1", "192.0.2.1"],
    ["unix:", "unix:"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::6", "2001:db8:1:2::/64"],
    ["2001:db8::6", "2001:db8:0:0::/64"],
    ["2001:db8:0:0:1::6", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["1::3:4:5:6:7:8", "1:0:3:4::/64"],
    ["1:2:3::", "1:2:3:0::/64"],
  ] as const;
  for (const [address, key] of keys) assert.equal(addressKey(address), key);
});

test("createReports says the first of a kind, and how many the next one stands for", () => {
  const lines: string[] = [];
  let now = 0;
  const reports = createReports(
    (line) => void lines.push(line),
    () => now,
  );
  reports.say("a", "one");
  reports.say("a", "two");
  reports.say("b", "other");
  now = 9_999;
  reports.say("a", "three");
  now = 10_000;
  reports.say("a", "four");
  now = 30_000;
  reports.say("a", "five");
  assert.deepEqual(lines, ["one", "other", "four (and 2 more since the last such line)", "five"]);
});
