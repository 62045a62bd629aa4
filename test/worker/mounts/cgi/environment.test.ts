import assert from "node:assert/strict";
import { realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { createNodeStarter } from "../../../../posix/spawn-node.ts";
import { openSpawnStarter } from "../../../../posix/spawn.ts";
import { mountConfig, serveCgi, type CgiServer } from "./cgi-server.ts";
import { ask, talk } from "./clients.ts";

type Report = {
  readonly env: Record<string, string>;
  readonly argv: readonly string[];
  readonly cwd: string;
};

/** Prints all that a request can reach it by, but stdin. */
const REPORT = `#!${process.execPath}
const report = { env: process.env, argv: process.argv.slice(2), cwd: process.cwd() };
process.stdout.write("Content-Type: application/json\\n\\n" + JSON.stringify(report));
`;

async function report(
  server: CgiServer,
  path: string,
  headers: readonly string[] = [],
  method = "GET",
): Promise<Report> {
  const answer = await ask(server.port, path, headers, method);
  assert.equal(answer.status, 200, answer.body);
  return JSON.parse(Buffer.from(answer.body, "latin1").toString("utf8"));
}

test("environment is the whole of RFC 3875 and nothing else", async (t) => {
  const server = await serveCgi(t, REPORT);
  const { env, argv, cwd } = await report(server, "/run/caf%C3%A9/a%20b?x=1&y=%20+-s");
  assert.deepEqual(
    { ...env, REMOTE_PORT: "some" },
    {
      DOCUMENT_ROOT: server.directory,
      GATEWAY_INTERFACE: "CGI/1.1",
      HTTP_HOST: "localhost",
      PATH: "/usr/local/bin:/usr/bin:/bin",
      PATH_INFO: "/café/a b",
      QUERY_STRING: "x=1&y=%20+-s",
      REDIRECT_STATUS: "200",
      REMOTE_ADDR: "127.0.0.1",
      REMOTE_PORT: "some",
      REQUEST_METHOD: "GET",
      REQUEST_URI: "/run/caf%C3%A9/a%20b?x=1&y=%20+-s",
      SCRIPT_FILENAME: server.program,
      SCRIPT_NAME: "/run",
      SERVER_NAME: "localhost",
      SERVER_PORT: String(server.port),
      SERVER_PROTOCOL: "HTTP/1.1",
      SERVER_SOFTWARE: "portico/0.0.0-test",
    },
  );
  assert.match(env["REMOTE_PORT"] ?? "", /^[1-9]\d*$/);
  assert.deepEqual(argv, []);
  assert.equal(cwd, realpathSync(server.directory));
});

test("environment describes a body, and leaves both variables out without one", async (t) => {
  const server = await serveCgi(t, REPORT);
  const headers = ["Content-Type: text/x-test; a=b", "Content-Length: 0"];
  const without = await report(server, "/run", headers, "POST");
  assert.equal(without.env["CONTENT_TYPE"], "text/x-test; a=b");
  assert.ok(!("CONTENT_LENGTH" in without.env));
  const response = await fetch(server.url, { method: "PUT", body: "12345" });
  const { env } = (await response.json()) as Report;
  assert.equal(env["REQUEST_METHOD"], "PUT");
  assert.equal(env["CONTENT_LENGTH"], "5");
  assert.deepEqual(
    Object.keys(env).filter((name) => /^HTTP_(?:CONTENT|TRANSFER|CONNECTION)/.test(name)),
    [],
  );
});

test("environment leaves PATH_INFO out at the mountpoint itself, QUERY_STRING is always set", async (t) => {
  const server = await serveCgi(t, REPORT);
  const { env } = await report(server, "/run");
  assert.ok(!("PATH_INFO" in env));
  assert.ok(!("PATH_TRANSLATED" in env));
  assert.equal(env["QUERY_STRING"], "");
});

test("environment of a mount at the root has an empty SCRIPT_NAME", async (t) => {
  const server = await serveCgi(t, REPORT, { config: { mountpoint: "/" } });
  const { env } = await report(server, "/any/where");
  assert.equal(env["SCRIPT_NAME"], "");
  assert.equal(env["PATH_INFO"], "/any/where");
});

test("environment takes DOCUMENT_ROOT from the file mount of the site", async (t) => {
  const otherMounts = [mountConfig("/x", "file:///srv/x"), mountConfig("/", "file:///srv/www/")];
  const server = await serveCgi(t, REPORT, { otherMounts });
  const { env } = await report(server, "/run/page");
  assert.equal(env["DOCUMENT_ROOT"], "/srv/www");
  assert.equal(env["PATH_TRANSLATED"], "/srv/www/page");
});

test("environment joins headers, and drops what could deceive a program", async (t) => {
  const server = await serveCgi(t, REPORT);
  const { env } = await report(server, "/run", [
    "Accept: text/plain",
    "accept: text/html",
    "Cookie: a=1",
    "Cookie: b=2",
    "Proxy: http://127.0.0.1:9/",
    "PROXY: http://127.0.0.1:9/",
    "Proxy-Authorization: Basic eDp5",
    "Proxy-Connection: keep-alive",
    "Authorization: Basic eDp5",
    "X_Forwarded_For: 10.0.0.1",
    "X-Forwarded-For: 192.0.2.1",
    "X.Dotted: 1",
    "Content_Length: 500",
    "Remote_Addr: 10.0.0.1",
    "Remote-Addr: 10.0.0.1",
    "TE: trailers",
    "Keep-Alive: timeout=5",
    "Git-Protocol: version=2",
    "Content-Encoding: gzip",
    "User-Agent: () { :;}; echo; /bin/id",
    "X-Name: caf\xc3\xa9",
  ]);
  const sent = Object.fromEntries(
    Object.entries(env).filter(([name]) => name.startsWith("HTTP_") || name.startsWith("REMOTE_A")),
  );
  assert.deepEqual(sent, {
    HTTP_ACCEPT: "text/plain, text/html",
    HTTP_CONTENT_ENCODING: "gzip",
    HTTP_COOKIE: "a=1; b=2",
    HTTP_GIT_PROTOCOL: "version=2",
    HTTP_HOST: "localhost",
    HTTP_REMOTE_ADDR: "10.0.0.1",
    HTTP_USER_AGENT: "() { :;}; echo; /bin/id",
    HTTP_X_FORWARDED_FOR: "192.0.2.1",
    HTTP_X_NAME: "café",
    REMOTE_ADDR: "127.0.0.1",
  });
  assert.ok(!("CONTENT_LENGTH" in env));
});

test("environment ends with cgi-env, which may set PATH; cgi-chdir sets the directory", async (t) => {
  const server = await serveCgi(t, REPORT, {
    config: {
      "cgi-env": [
        ["PATH", "/opt/bin"],
        ["GREETING", "grüß dich=x"],
        ["SERVER_NAME", "chosen"],
      ],
      "cgi-chdir": tmpdir(),
    },
  });
  const { env, cwd } = await report(server, "/run");
  assert.equal(env["PATH"], "/opt/bin");
  assert.equal(env["GREETING"], "grüß dich=x");
  assert.equal(env["SERVER_NAME"], "chosen");
  assert.equal(cwd, realpathSync(tmpdir()));
});

test("environment of an HTTP/1.0 client without Host names the vhost", async (t) => {
  const server = await serveCgi(t, REPORT);
  const answer = await talk(server.port, "GET /run HTTP/1.0\r\n\r\n");
  const { env } = JSON.parse(answer.slice(answer.indexOf("{"), answer.lastIndexOf("}") + 1));
  assert.equal(env.SERVER_NAME, "localhost");
  assert.equal(env.SERVER_PROTOCOL, "HTTP/1.0");
  assert.ok(!("HTTP_HOST" in env));
});

test("environment too big for the kernel is 431, each time", async (t) => {
  const server = await serveCgi(t, REPORT, {
    // The kernel takes no string over 128 KiB; no client gets one past the limit of a request head alone.
    config: { "cgi-env": [["BIG", "x".repeat(200_000)]] },
  });
  for (let count = 0; count < 2; count += 1)
    assert.equal((await ask(server.port, "/run")).status, 431);
  assert.deepEqual(server.counters, { cgiStarted: 0, cgiFailed: 2, cgiTimedOut: 0, cgiAlive: 0 });
});

test("a path reaches a program byte by byte; what the way of starting cannot carry is 400", async (t) => {
  const script = `printf 'Content-Type: text/plain\\n\\n%s|%s' "$PATH_INFO" "$HTTP_X_NAME"`;
  const fields = ["X-Name: caf\xe9"];
  if (await openSpawnStarter()) {
    const server = await serveCgi(t, script);
    assert.equal((await ask(server.port, "/run/caf%E9", fields)).body, "/caf\xe9|caf\xe9");
    assert.equal((await ask(server.port, "/run/a%00b")).status, 400);
  }
  const slow = await serveCgi(t, script, { starter: async () => createNodeStarter() });
  assert.equal((await ask(slow.port, "/run/caf%E9")).status, 400);
  assert.equal((await ask(slow.port, "/run/caf%C3%A9", fields)).status, 200);
});
