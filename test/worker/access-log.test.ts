import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createAccessLog,
  createCombined,
  formatInstant,
  formatTime,
  type AccessEntry,
  type AccessLogOptions,
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

test("createCombined writes Apache's combined format", () => {
  assert.equal(
    createCombined()(ENTRY, "10/Oct/2000:13:55:36 -0700"),
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
  assert.equal(createCombined()(bare, "T"), '192.0.2.7 - joe [T] "-" 200 - "-" "-"\n');
});

test("createCombined escapes as Apache does", () => {
  const cases = [
    ['a"b', 'a\\"b'],
    ["a\\b", "a\\\\b"],
    ["\b\n\r\t\v", "\\b\\n\\r\\t\\v"],
    ["\x00\x1b[31m\x7f", "\\x00\\x1b[31m\\x7f"],
    ["\x9b\xff\xc3\xa9", "\\x9b\\xff\\xc3\\xa9"],
    [" ~!", " ~!"],
  ] as const;
  for (const [userAgent, escaped] of cases)
    assert.ok(createCombined()({ ...ENTRY, userAgent }, "T").endsWith(`"${escaped}"\n`), escaped);
});

test("createAccessLog writes what differs in anything as another line, however alike the one before was", () => {
  const lines: string[] = [];
  let now = Date.UTC(2026, 0, 2, 3, 4, 5, 100);
  const file = { write: (line: string) => void lines.push(line) };
  const log = createAccessLog(file, { format: "combined", vhost: "a.test:80", now: () => now });
  const others: readonly Partial<AccessEntry>[] = [
    { remoteAddress: "192.0.2.8" },
    { user: "joe" },
    { requestLine: "GET /a?c HTTP/1.1" },
    { status: 206 },
    { bytes: 1 },
    { referer: undefined },
    { userAgent: "curl/9" },
    { requestId: "x" },
  ];
  for (const other of others)
    for (const entry of [ENTRY, ENTRY, { ...ENTRY, ...other }]) log.log(entry);
  const stamp = formatTime(new Date(now));
  const expected = others.flatMap((other) =>
    [ENTRY, ENTRY, { ...ENTRY, ...other }].map((entry) => createCombined()(entry, stamp)),
  );
  assert.deepEqual(lines, expected);
  assert.equal(new Set(lines).size, others.length + 1);
  // Whoever knows the moment says it; the time is looked at when its second is over.
  lines.length = 0;
  log.log(ENTRY, 1, 1, 5_000);
  now += 1_000;
  log.log(ENTRY, 1, 1, 5_899);
  log.log(ENTRY, 1, 1, 5_900);
  const later = createCombined()(ENTRY, formatTime(new Date(now)));
  assert.deepEqual(lines, [expected[0], expected[0], later]);
});

test("createAccessLog formats the time once a second", () => {
  const lines: string[] = [];
  let now = Date.UTC(2026, 0, 2, 3, 4, 5, 100);
  const log = createAccessLog(
    { write: (line) => void lines.push(line) },
    { format: "combined", vhost: "a.test:80", now: () => now },
  );
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

function logged(
  format: AccessLogOptions["format"],
  entry: AccessEntry,
  durationMs?: number,
): string {
  const lines: string[] = [];
  const sink = { write: (line: string): void => void lines.push(line) };
  createAccessLog(sink, { format, vhost: "a.test:80", now: () => 0 }).log(entry, durationMs);
  return lines.join("");
}

test("createAccessLog writes vhost_combined as Apache does, with the identifier of the request at the end", () => {
  const line = logged("vhost_combined", { ...ENTRY, requestId: 'a"b' });
  const stamp = formatTime(new Date(0));
  assert.equal(
    line,
    `a.test:80 192.0.2.7 - - [${stamp}] "GET /a?b HTTP/1.1" 200 2326 "http://x/" "curl/8" "a\\"b"\n`,
  );
});

test("createAccessLog writes one line of ASCII JSON, whatever the bytes", () => {
  const userAgent = String.fromCharCode(...Array.from({ length: 256 }, (_, code) => code));
  const line = logged("json", { ...ENTRY, userAgent, requestId: "r" }, 1.23456);
  assert.match(line, /^[ -~]+\n$/);
  assert.deepEqual(JSON.parse(line), {
    time: formatInstant(new Date(0)),
    vhost: "a.test:80",
    client: "192.0.2.7",
    request: "GET /a?b HTTP/1.1",
    status: 200,
    bytes: 2326,
    ms: 1.235,
    referer: "http://x/",
    user_agent: userAgent,
    request_id: "r",
  });
});

test("createAccessLog does not confuse values that follow each other", () => {
  const lines: string[] = [];
  const sink = { write: (line: string): void => void lines.push(line) };
  const log = createAccessLog(sink, { format: "combined", vhost: "a.test:80" });
  for (const userAgent of ["a", undefined, "a", "a", 'b"'])
    log.log({ ...ENTRY, userAgent, referer: userAgent });
  assert.deepEqual(
    lines.map((line) => line.split('2326 "')[1]),
    ['a" "a"\n', '-" "-"\n', 'a" "a"\n', 'a" "a"\n', 'b\\"" "b\\""\n'],
  );
});

test("createCombined keeps the name of a user in one field", () => {
  const line = createCombined()({ ...ENTRY, user: 'joe "x" b' }, "T");
  assert.ok(line.startsWith('192.0.2.7 - joe\\x20\\"x\\"\\x20b [T] '), line);
  assert.ok(createCombined()({ ...ENTRY, user: "" }, "T").startsWith('192.0.2.7 - "" [T] '));
});

test("createCombined cuts what no reader of logs takes for one line, and no escape in two", () => {
  const long = (text: string): string => text.repeat(9_000);
  for (const format of ["combined", "vhost_combined"] as const)
    for (const odd of ["a", "\xe9", '"', "\\"]) {
      const requestLine = `GET /${long(odd)} HTTP/1.1`;
      const entry = { ...ENTRY, requestLine, referer: long(odd), userAgent: long(odd) };
      const line = logged(format, { ...entry, requestId: "r" });
      assert.ok(line.length <= 4_095 && line.length > 3_000, String(line.length));
      const fields =
        /^(?:a\.test:80 )?192\.0\.2\.7 - - \[[^\]]+\] "((?:[^"\\]|\\["\\]|\\x..)*)" 200 2326 "((?:[^"\\]|\\["\\]|\\x..)*)" "((?:[^"\\]|\\["\\]|\\x..)*)" "r"\n$/.exec(
          line,
        );
      assert.match(fields?.[1] ?? line, /^GET \/.*\.\.\. HTTP\/1\.1$/);
      for (const field of fields?.slice(2) ?? []) assert.match(field, /\.\.\.$/);
    }
  const fits = `GET /${"a".repeat(3_900)} HTTP/1.1`;
  assert.ok(logged("combined", { ...ENTRY, requestLine: fits }).includes(fits));
});
