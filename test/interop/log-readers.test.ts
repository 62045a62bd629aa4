// goaccess and awstats read the access log of hostile traffic without an invalid line, and count what was asked.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { temporaryDirectory } from "../helpers/site.ts";
import { needs } from "../helpers/programs.ts";
import { startPortico } from "../helpers/server.ts";
import { connect, exchangeBytes } from "../helpers/wire.ts";

const ALL_BYTES = Array.from({ length: 255 }, (_, code) => String.fromCharCode(code + 1))
  .join("")
  .replace(/[\r\n]/g, "");
/** What a field may hold on the wire. */
const SENDABLE = ALL_BYTES.replace(/[^\t\x20-\x7e\x80-\xff]/g, "");
const QUOTES = '" "\\" \\\\" [x] - "';

function get(target: string, fields: string): string {
  return `GET ${target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n${fields}\r\n`;
}

const REQUESTS: readonly string[] = [
  get("/", ""),
  get('/?q="a"&b=\\c', `User-Agent: ${QUOTES}\r\nReferer: ${QUOTES}\r\n`),
  get("/\xe9\xff?\x80", `User-Agent: ${SENDABLE}\r\nReferer: ${SENDABLE}\r\n`),
  get("/missing", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0\r\n"),
  get(`/${"a".repeat(9_000)}`, ""),
  get("/", `User-Agent: ${"u".repeat(8_000)}\r\n`),
  `POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello`,
  "GET / HTTP/1.0\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
  "\x16\x03\x01\x02\x00",
  `GET /${ALL_BYTES} HTTP/1.1\r\n\r\n`,
  `${"x".repeat(70_000)}\r\n\r\n`,
];

/** The log of it all, written by two workers. */
async function makeLog(
  t: Parameters<typeof startPortico>[0],
  keys: Readonly<Record<string, unknown>>,
): Promise<string> {
  const portico = await startPortico(t, {
    conf: {
      vhosts: [
        {
          name: "a.test",
          port: 0,
          interface: "127.0.0.1",
          "access-log": "access.log",
          mounts: [{ mountpoint: "/", origin: "file://public" }],
          ...keys,
        },
      ],
    },
    files: { "public/index.html": "hello" },
    workers: 2,
  });
  for (const bytes of REQUESTS) await exchangeBytes(portico.port(), bytes);
  const leaver = await connect(portico.port());
  leaver.write("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n");
  await leaver.replies(1);
  leaver.socket.resetAndDestroy();
  await portico.stop();
  return join(portico.directory, "access.log");
}

for (const [keys, format] of [
  [{}, "COMBINED"],
  [{ "request-id": "1" }, "COMBINED"],
  [{ "access-log-format": "vhost_combined", "request-id": "1" }, "VCOMBINED"],
] as const)
  test(`goaccess reads every line as ${format} ${JSON.stringify(keys)}`, async (t) => {
    const goaccess = needs(t, "goaccess", ["goaccess"]);
    if (goaccess === undefined) return;
    const log = await makeLog(t, keys);
    const lines = readFileSync(log, "latin1").split("\n").length - 1;
    assert.equal(lines, REQUESTS.length + 1);
    const report = join(temporaryDirectory(t), "report.json");
    const options = [log, `--log-format=${format}`, "--no-global-config", "-o", report];
    execFileSync(goaccess, options, { stdio: "ignore" });
    const { general } = JSON.parse(readFileSync(report, "utf8")) as {
      general: { total_requests: number; valid_requests: number; failed_requests: number };
    };
    assert.deepEqual(
      [general.total_requests, general.valid_requests, general.failed_requests],
      [lines, lines, 0],
    );
  });

test("awstats reads every line that has a request", async (t) => {
  const awstats = needs(t, "awstats", ["/usr/lib/cgi-bin/awstats.pl"]);
  if (awstats === undefined) return;
  const log = await makeLog(t, {});
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, "data"));
  const conf = join(directory, "awstats.a.test.conf");
  const settings = [
    `LogFile="${log}"`,
    "LogFormat=1",
    'SiteDomain="a.test"',
    `DirData="${join(directory, "data")}"`,
    "DNSLookup=0",
  ];
  writeFileSync(conf, settings.join("\n"));
  const options = ["-config=a.test", `-configdir=${directory}`, "-update", "-showcorrupted"];
  const output = execFileSync(awstats, options, { encoding: "latin1" });
  const found = (what: string): number =>
    Number(new RegExp(`Found (\\d+) ${what}`).exec(output)?.[1] ?? Number.NaN);
  const lines = readFileSync(log, "latin1").split("\n");
  const withoutRequest = lines.filter((line) => line.includes('] "-" ')).length;
  t.diagnostic(output.match(/Found \d+ [^\n]*/g)?.join("; ") ?? output);
  assert.equal(found("corrupted records"), withoutRequest, output);
});
