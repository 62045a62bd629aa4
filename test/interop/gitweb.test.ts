import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { needs } from "../helpers/programs.ts";
import { startPortico } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

test("gitweb serves its pages, a feed and a snapshot through PATH_INFO", async (t) => {
  const program = needs(t, "gitweb", ["/usr/share/gitweb/gitweb.cgi"]);
  const git = program && needs(t, "git", ["git"]);
  if (git === undefined) return;
  const directory = temporaryDirectory(t);
  const repository = join(directory, "demo");
  mkdirSync(repository);
  const run = (...args: string[]): string =>
    execFileSync(git, ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", ...args], {
      cwd: repository,
      encoding: "utf8",
      env: { PATH: process.env["PATH"], HOME: directory, GIT_CONFIG_NOSYSTEM: "1" },
    }).trim();
  run("init", "--quiet", "--initial-branch=main");
  writeFileSync(join(repository, "README"), "A house with a portico.\n");
  run("add", ".");
  run("commit", "--quiet", "--message=Lay the <first> stone");
  const settings = join(directory, "gitweb.conf");
  writeFileSync(
    settings,
    `our $projectroot = "${directory}"; $feature{"pathinfo"}{"default"} = [1];
$feature{"snapshot"}{"default"} = ["tgz"]; 1;\n`,
  );
  const mount = {
    mountpoint: "/gitweb",
    origin: `cgi://${program}`,
    "cgi-timeout": 30,
    "cgi-env": [
      { GITWEB_CONFIG: settings },
      // Whoever runs the tests need not own what they made.
      { GIT_CONFIG_COUNT: "1" },
      { GIT_CONFIG_KEY_0: "safe.directory" },
      { GIT_CONFIG_VALUE_0: "*" },
    ],
  };
  const statics = { mountpoint: "/gitweb/static", origin: "file:///usr/share/gitweb/static" };
  const conf = { vhosts: [{ name: "localhost", port: 0, mounts: [mount, statics] }] };
  const portico = await startPortico(t, { conf, workers: 1 });
  const page = async (path: string): Promise<string> => {
    const response = await fetch(`${portico.url()}/gitweb${path}`);
    assert.equal(response.status, 200, path);
    return await response.text();
  };
  assert.match(await page(""), /demo\/\.git/);
  assert.match(await page("/demo/.git"), /Lay the &lt;first&gt; stone/);
  assert.match(await page("/demo/.git/shortlog/refs/heads/main"), /Lay the &lt;first&gt; stone/);
  assert.match(await page("/demo/.git/blob/main:/README"), /A&nbsp;house|A house/);
  assert.equal(await page("/demo/.git/blob_plain/main:/README"), "A house with a portico.\n");
  assert.match(
    await page(`/demo/.git/commitdiff/${run("rev-parse", "HEAD")}`),
    /A&nbsp;house|A house/,
  );
  assert.match(await page("/?p=demo/.git;a=atom"), /<feed /);
  const snapshot = await fetch(`${portico.url()}/gitweb/demo/.git/snapshot/main.tar.gz`);
  assert.deepEqual([...Buffer.from(await snapshot.arrayBuffer()).subarray(0, 2)], [0x1f, 0x8b]);
  assert.match(await page("/static/gitweb.css"), /body/);
  assert.equal((await fetch(`${portico.url()}/gitweb?p=none;a=summary`)).status, 404);
});
