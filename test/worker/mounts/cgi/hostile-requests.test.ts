// What a request may say that a program must never see, or see as nothing but data.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { temporaryDirectory } from "../../../helpers/site.ts";
import { serveCgi, type CgiServer } from "./cgi-server.ts";
import { ask, talk, until } from "./clients.ts";

/** Prints its environment. */
const ENVIRONMENT = "printf 'Content-Type: text/plain\\n\\n'; exec env -0";

async function environment(
  server: CgiServer,
  target: string,
  headers: readonly string[] = [],
): Promise<Record<string, string>> {
  const answer = await ask(server.port, target, headers);
  assert.equal(answer.status, 200, answer.body);
  return Object.fromEntries(
    answer.body
      .split("\0")
      .filter((line) => line !== "")
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}

const refused: readonly (readonly [what: string, request: string, status?: number])[] = [
  ["NUL in the path", "GET /run/a%00b HTTP/1.1\r\nHost: localhost\r\n"],
  ["a line feed in the path", "GET /run/a%0ab HTTP/1.1\r\nHost: localhost\r\n"],
  ["a carriage return in the path", "GET /run/a%0db HTTP/1.1\r\nHost: localhost\r\n"],
  ["half an escape in the path", "GET /run/a%4 HTTP/1.1\r\nHost: localhost\r\n"],
  ["bytes of no ASCII in the target", "GET /run/\xe9?\xe9 HTTP/1.1\r\nHost: localhost\r\n"],
  ["a shell's words as Host", 'GET /run HTTP/1.1\r\nHost: a"b;`id`\r\n'],
  ["a line feed in Host", "GET /run HTTP/1.1\r\nHost: a\nX: b\r\n"],
  ["two Hosts", "GET /run HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n"],
  ["NUL in a field", "GET /run HTTP/1.1\r\nHost: localhost\r\nX-A: a\0b\r\n"],
  ["a folded field", "GET /run HTTP/1.1\r\nHost: localhost\r\nX-A: a\r\n b\r\n"],
  ["a space before a colon", "GET /run HTTP/1.1\r\nHost: localhost\r\nX-A : a\r\n"],
  [
    "two lengths",
    "POST /run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
  ],
  [
    "a length and chunks",
    "POST /run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
  ],
  [
    "a coding that nobody knows",
    "POST /run HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n",
  ],
  ["a path above the root", "GET /run/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n"],
  [
    "a path that leaves the program",
    "GET /run/..%2f..%2fetc/passwd HTTP/1.1\r\nHost: localhost\r\n",
  ],
  ["a path beside the program", "GET /run/../etc/passwd HTTP/1.1\r\nHost: localhost\r\n", 404],
  ["a method that nobody knows", "FOO /run HTTP/1.1\r\nHost: localhost\r\n", 501],
];
for (const [what, request, status = 400] of refused)
  test(`${what} is ${status}, and no program is started`, async (t) => {
    const server = await serveCgi(t, ENVIRONMENT);
    const answer = await talk(server.port, `${request}Connection: close\r\n\r\n`);
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
    assert.equal(server.cgi.started, 0);
  });

const targets: readonly (readonly [
  what: string,
  target: string,
  pathInfo: string,
  query: string,
])[] = [
  ["decodes a path once", "/run/a%2Fb%20c%2520d?x=%20", "/a/b c%20d", "x=%20"],
  ["resolves dots first", "/run/x/../y/./z", "/y/z", ""],
  ["resolves encoded dots first", "/run/x/%2e%2e/y", "/y", ""],
  ["takes slashes as one", "//run//x//y", "/x/y", ""],
  [
    "has a path and a query with a shell's words",
    "/run/;$(id)`id`?$(id);`id`|&",
    "/;$(id)`id`",
    "$(id);`id`|&",
  ],
  ["has a path that would be a script elsewhere", "/run/x.php/y", "/x.php/y", ""],
];
for (const [what, target, pathInfo, query] of targets)
  test(`a program whose request ${what} sees both, and the target as it was sent`, async (t) => {
    const server = await serveCgi(t, ENVIRONMENT);
    const { PATH_INFO, QUERY_STRING, REQUEST_URI, SCRIPT_NAME, SCRIPT_FILENAME } =
      await environment(server, target);
    assert.deepEqual([PATH_INFO, QUERY_STRING, REQUEST_URI], [pathInfo, query, target]);
    assert.deepEqual([SCRIPT_NAME, SCRIPT_FILENAME], ["/run", server.program]);
  });

test("the name of the host is lower-case and without a port, which is the real one", async (t) => {
  const server = await serveCgi(t, ENVIRONMENT);
  const request = "GET /run HTTP/1.1\r\nHost: LocalHost:81\r\nConnection: close\r\n\r\n";
  const answer = await talk(server.port, request);
  for (const line of [
    "SERVER_NAME=localhost",
    `SERVER_PORT=${server.port}`,
    "HTTP_HOST=LocalHost:81",
  ])
    assert.ok(answer.includes(`\0${line}\0`), line);
});

test("no field becomes HTTP_PROXY or a variable of the server's own", async (t) => {
  const server = await serveCgi(t, ENVIRONMENT);
  const plain = await environment(server, "/run");
  const fields = [
    "Proxy: http://127.0.0.1:9/",
    "proxy: http://127.0.0.1:9/",
    "PROXY: http://127.0.0.1:9/",
    "Proxy_: http://127.0.0.1:9/",
    "HTTP_PROXY: http://127.0.0.1:9/",
    "Content_Length: 500",
    "Content_Type: text/x",
    "Auth_Type: Basic",
    "Remote_User: root",
    "Script_Filename: /etc/passwd",
    "Transfer_Encoding: chunked",
  ];
  const fooled = await environment(server, "/run", fields);
  for (const variables of [plain, fooled]) delete variables["REMOTE_PORT"];
  assert.deepEqual(fooled, plain);
});

const SHELLSHOCK = "() { :;}; echo; /bin/id";
test("words that a shell would run arrive as they are", async (t) => {
  const server = await serveCgi(t, `: ; ${ENVIRONMENT}`);
  const fields = ["User-Agent", "Cookie", "Referer", "X-Anything", "Content-Type"];
  const seen = await environment(
    server,
    `/run/${encodeURIComponent(SHELLSHOCK)}?${encodeURIComponent(SHELLSHOCK)}`,
    fields.map((name) => `${name}: ${SHELLSHOCK}`),
  );
  for (const name of [
    "HTTP_USER_AGENT",
    "HTTP_COOKIE",
    "HTTP_REFERER",
    "HTTP_X_ANYTHING",
    "CONTENT_TYPE",
  ])
    assert.equal(seen[name], SHELLSHOCK, name);
  assert.equal(seen["PATH_INFO"], `/${SHELLSHOCK}`);
  assert.equal(seen["QUERY_STRING"], encodeURIComponent(SHELLSHOCK));
});

test("1,000 requests at once start no more programs than the mount may run", async (t) => {
  // Each run waits for its byte.
  const script = `printf 'Content-Type: text/plain\\n\\n'; exec dd bs=1 count=1 if="$SCRIPT_FILENAME.go" 2>/dev/null`;
  const limits = { maxRunning: 4, maxWaiting: 6 };
  const server = await serveCgi(t, script, { limits });
  execFileSync("mkfifo", [`${server.program}.go`]);
  const go = openSync(`${server.program}.go`, constants.O_RDWR);
  t.after(() => closeSync(go));
  const answers = Array.from({ length: 1_000 }, () => ask(server.port, "/run"));
  await until("990 are refused", () => server.cgi.refused === 990);
  assert.equal(server.cgi.started, 4);
  writeSync(go, "x".repeat(10));
  const all = await Promise.all(answers);
  for (const [status, count] of [
    [200, 10],
    [503, 990],
  ])
    assert.equal(all.filter((answer) => answer.status === status).length, count, String(status));
  await until("no program is left", () => server.cgi.alive === 0);
});

suite("a directory of programs", () => {
  test("never runs a program that the path only leads past", async (t) => {
    const directory = join(temporaryDirectory(t), "cgi-bin");
    mkdirSync(directory);
    const print = (word: string): string =>
      `#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n${word} %s' "$PATH_INFO"\n`;
    writeFileSync(join(directory, "one"), print("one"), { mode: 0o755 });
    writeFileSync(join(directory, "two"), print("two"), { mode: 0o755 });
    writeFileSync(join(directory, "..", "outside"), print("outside"), { mode: 0o755 });
    symlinkSync("../outside", join(directory, "link"));
    const server = await serveCgi(t, "", { program: directory });
    for (const [path, status, body] of [
      ["/one/../two/x", 200, "two /x"],
      ["/one/%2e%2e/two", 200, "two "],
      ["/one%2F..%2Ftwo", 200, "two "],
      ["/one/x%2F..%2F..%2Ftwo", 200, "two "],
      ["//one//x", 200, "one /x"],
      ["/one/two", 200, "one /two"],
      ["/../outside", 404, undefined],
      ["/one/../../outside", 404, undefined],
      ["/one%2F..%2F..%2Foutside", 404, undefined],
      ["/..%5Coutside", 404, undefined],
      ["/link", 404, undefined],
    ] as const) {
      const answer = await ask(server.port, `/run${path}`);
      assert.equal(answer.status, status, path);
      if (body !== undefined) assert.equal(answer.body, body, path);
      else assert.doesNotMatch(answer.body, /outside \//);
    }
  });
});
