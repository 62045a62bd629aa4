import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createAccessLog,
  formatEntry,
  formatTime,
  type AccessEntry,
} from "../../worker/access-log.ts";

const ENTRY: AccessEntry = {
  remoteAddress: "192.0.2.7",
  user: undefined,
  requestLine: "GET /a?b HTTP/1.1",
  status: 200,
  bytes: 2326,
  referer: "http://x/",
  userAgent: "curl/8",
};

test("formatEntry writes Apache's combined format", () => {
  assert.equal(
    formatEntry(ENTRY, "10/Oct/2000:13:55:36 -0700"),
    '192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a?b HTTP/1.1" 200 2326 "http://x/" "curl/8"\n',
  );
  const bare = {
    ...ENTRY,
    user: "joe",
    requestLine: undefined,
    bytes: 0,
    referer: undefined,
    userAgent: undefined,
  };
  assert.equal(formatEntry(bare, "T"), '192.0.2.7 - joe [T] "-" 200 - "-" "-"\n');
});

test("formatEntry escapes as Apache does", () => {
  const cases = [
    ['a"b', 'a\\"b'],
    ["a\\b", "a\\\\b"],
    ["\b\n\r\t\v", "\\b\\n\\r\\t\\v"],
    ["\x00\x1b[31m\x7f", "\\x00\\x1b[31m\\x7f"],
    ["\x9b\xff\xc3\xa9", "\\x9b\\xff\\xc3\\xa9"],
    [" ~!", " ~!"],
  ] as const;
  for (const [userAgent, escaped] of cases)
    assert.ok(formatEntry({ ...ENTRY, userAgent }, "T").endsWith(`"${escaped}"\n`), escaped);
});

test("createAccessLog formats the time once a second", () => {
  const lines: string[] = [];
  let now = Date.UTC(2026, 0, 2, 3, 4, 5, 100);
  const log = createAccessLog({ write: (line) => void lines.push(line) }, () => now);
  log.log(ENTRY);
  now += 800;
  log.log(ENTRY);
  now += 200;
  log.log(ENTRY);
  assert.equal(lines[0], lines[1]);
  assert.notEqual(lines[1], lines[2]);
  assert.ok(lines[0]?.includes(`[${formatTime(new Date(Date.UTC(2026, 0, 2, 3, 4, 5)))}]`));
});

test("formatTime gives local time with its offset", (t) => {
  const before = process.env["TZ"];
  t.after(() => {
    if (before === undefined) delete process.env["TZ"];
    else process.env["TZ"] = before;
  });
  const date = new Date(Date.UTC(2026, 1, 3, 4, 5, 6));
  for (const [zone, stamp] of [
    ["UTC", "03/Feb/2026:04:05:06 +0000"],
    ["America/New_York", "02/Feb/2026:23:05:06 -0500"],
    ["Asia/Kolkata", "03/Feb/2026:09:35:06 +0530"],
  ] as const) {
    process.env["TZ"] = zone;
    assert.equal(formatTime(date), stamp);
  }
});
