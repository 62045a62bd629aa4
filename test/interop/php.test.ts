// PHP from Debian, as a CGI interpreter and behind FastCGI.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { needs } from "../helpers/programs.ts";
import { startPortico, waitUntil } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const PAGE = `<?php
if (isset($_GET["missing"])) { http_response_code(404); header("X-Page: none"); echo "no"; exit; }
if (isset($_GET["die"])) { echo str_repeat("x", 100000); flush(); posix_kill(getmypid(), 9); }
setcookie("one", "1"); setcookie("two", "2");
header("Content-Type: application/json");
if (isset($_GET["error"])) error_log("said on stderr");
echo json_encode([
  "method" => $_SERVER["REQUEST_METHOD"], "get" => $_GET, "post" => $_POST, "cookie" => $_COOKIE,
  "file" => isset($_FILES["f"]) ? [$_FILES["f"]["name"], md5_file($_FILES["f"]["tmp_name"])] : null,
  "script" => $_SERVER["SCRIPT_NAME"], "info" => $_SERVER["PATH_INFO"] ?? null, "argv" => $_SERVER["argc"] ?? 0,
  "raw" => strlen(file_get_contents("php://input")), "filename" => basename($_SERVER["SCRIPT_FILENAME"]),
  "header" => $_SERVER["HTTP_X_TEST"] ?? null,
], JSON_INVALID_UTF8_SUBSTITUTE);
`;

function fillDirectory(t: TestContext): string {
  const directory = join(temporaryDirectory(t), "app");
  mkdirSync(join(directory, "sub"), { recursive: true });
  for (const name of ["index.php", "page.php", "sub/index.php"])
    writeFileSync(join(directory, name), PAGE);
  writeFileSync(join(directory, "upload.jpg"), "<?php echo 'owned'; ?>");
  writeFileSync(join(directory, "..", "outside.php"), "<?php echo 'owned'; ?>");
  return directory;
}

type Report = {
  readonly get: unknown;
  readonly post: unknown;
  readonly cookie: unknown;
  readonly file: unknown;
  readonly script: string;
  readonly info: string | null;
  readonly raw: number;
  readonly filename: string;
  readonly header: string | null;
};

async function report(response: Response): Promise<Report> {
  return (await response.json()) as Report;
}

async function checkPages(url: string): Promise<void> {
  const get = await fetch(`${url}/page.php/more?a=1&b[]=2`, {
    headers: { Cookie: "c=3", "X-Test": "yes" },
  });
  assert.equal(get.status, 200);
  assert.equal(get.headers.getSetCookie().length, 2);
  const seen = await report(get);
  assert.deepEqual(
    [seen.get, seen.cookie, seen.header, seen.info, seen.filename],
    [{ a: "1", b: ["2"] }, { c: "3" }, "yes", "/more", "page.php"],
  );
  assert.match(seen.script, /\/page\.php$/);

  const form = await fetch(`${url}/page.php`, {
    method: "POST",
    body: new URLSearchParams({ name: "Ada Löwe" }),
  });
  assert.deepEqual((await report(form)).post, { name: "Ada Löwe" });

  const content = "x".repeat(1_000_000);
  const upload = new FormData();
  upload.set("f", new Blob([content]), "f.bin");
  const answer = await fetch(`${url}/page.php`, { method: "POST", body: upload });
  assert.deepEqual((await report(answer)).file, [
    "f.bin",
    createHash("md5").update(content).digest("hex"),
  ]);

  const missing = await fetch(`${url}/page.php?missing`);
  assert.deepEqual([missing.status, missing.headers.get("x-page")], [404, "none"]);
  const head = await fetch(`${url}/page.php`, { method: "HEAD" });
  assert.deepEqual([head.status, await head.text()], [200, ""]);

  // CVE-2012-1823: arguments of php-cgi in the query.
  for (const query of [
    "-s",
    "-d+allow_url_include%3d1+-d+auto_prepend_file%3dphp://input",
    "%ADs",
  ]) {
    const attempt = await fetch(`${url}/page.php?${query}`);
    assert.equal((await report(attempt)).filename, "page.php");
  }
  // A file that is no script is never run as one, whatever follows it.
  for (const path of ["/upload.jpg/x.php", "/upload.jpg", "/missing.php", "/..%2foutside.php"])
    assert.ok(![200, 500].includes((await fetch(url + path)).status), path);
}

test("php-cgi runs .php files of a directory", async (t) => {
  const program = needs(t, "php-cgi", ["php-cgi"]);
  if (program === undefined) return;
  const origin = `cgi://${fillDirectory(t)}`;
  const mount = {
    mountpoint: "/app",
    origin,
    "cgi-interpreter": { ".php": program },
    "cgi-timeout": 30,
  };
  const portico = await startPortico(t, {
    conf: { vhosts: [{ name: "localhost", port: 0, mounts: [mount] }] },
    workers: 1,
  });
  await checkPages(`${portico.url()}/app`);
});

test("php-fpm serves .php files below a directory", async (t) => {
  const program = needs(t, "php-fpm", ["php-fpm", "php-fpm8.2", "/usr/sbin/php-fpm8.2"]);
  if (program === undefined) return;
  const directory = fillDirectory(t);
  const place = temporaryDirectory(t);
  const socket = join(place, "fpm.sock");
  const isRoot = process.getuid?.() === 0;
  writeFileSync(
    join(place, "fpm.conf"),
    `[global]\nerror_log = ${join(place, "log")}\ndaemonize = no\n[www]\nlisten = ${socket}\npm = static\npm.max_children = 2\n` +
      `catch_workers_output = yes\n${isRoot ? "user = root\ngroup = root\n" : ""}`,
  );
  const args = [
    "--nodaemonize",
    "--fpm-config",
    join(place, "fpm.conf"),
    ...(isRoot ? ["-R"] : []),
  ];
  const fpm = spawn(program, args, { stdio: "ignore" });
  t.after(() => void fpm.kill("SIGTERM"));
  await waitUntil("php-fpm", () => existsSync(socket));
  const portico = await startPortico(t, {
    conf: {
      vhosts: [
        {
          name: "localhost",
          port: 0,
          mounts: [{ mountpoint: "/app", origin: `fcgi://unix:${socket}`, "fcgi-root": directory }],
        },
      ],
    },
    workers: 1,
    expect: [/^CGI program failed/, /^Cannot reach/, /unexpected end/],
  });
  const url = `${portico.url()}/app`;
  await checkPages(url);
  assert.equal((await report(await fetch(`${url}/`))).filename, "index.php");
  assert.match((await report(await fetch(`${url}/sub/`))).script, /\/sub\/index\.php$/);
  const body = Buffer.alloc(3_000_000, "x");
  const chunked = await fetch(`${url}/page.php`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream" },
    body: new Blob([body]).stream(),
    duplex: "half",
  });
  assert.equal((await report(chunked)).raw, body.length);
  await (await fetch(`${url}/page.php?error`)).text();
  await portico.log(/said on stderr/);
  // Cut in the middle; or a 502, where the kernel threw away what the dead process had written.
  const died = await fetch(`${url}/page.php?die`)
    .then(async (response) => ({ status: response.status, text: await response.text() }))
    .catch(() => undefined);
  assert.ok(died === undefined || died.status === 502, `complete with ${died?.status}`);

  fpm.kill("SIGTERM");
  await waitUntil(
    "php-fpm to be gone",
    async () => (await fetch(`${url}/page.php`)).status === 502,
  );
});
