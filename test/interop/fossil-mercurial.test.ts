// Two more systems that keep their history behind a CGI program, driven by their own clients.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { needs } from "../helpers/programs.ts";
import { startPortico } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const run = promisify(execFile);

/** Runs programs that keep all they write at home in `directory`. */
function runner(
  directory: string,
): (program: string, cwd: string, ...args: string[]) => Promise<string> {
  const env = { PATH: process.env["PATH"], HOME: directory, USER: "ada", HGUSER: "ada" };
  return async (program, cwd, ...args) => (await run(program, args, { cwd, env })).stdout.trim();
}

async function serve(t: TestContext, program: string, directory: string): Promise<string> {
  const mount = {
    mountpoint: "/code",
    origin: `cgi://${program}`,
    "cgi-timeout": 60,
    "cgi-env": { HOME: directory },
  };
  const conf = { vhosts: [{ name: "localhost", port: 0, mounts: [mount] }] };
  const portico = await startPortico(t, {
    conf,
    workers: 1,
    // Fossil's back office, which waits a minute for more to do.
    expect: [/^Killed 1 CGI process group/],
  });
  return `${portico.url()}/code`;
}

test("fossil shows its pages, lets a user in, and syncs both ways", async (t) => {
  const fossil = needs(t, "fossil", ["fossil"]);
  if (fossil === undefined) return;
  const directory = temporaryDirectory(t);
  const exec = runner(directory);
  const repository = join(directory, "demo.fossil");
  await exec(fossil, directory, "init", "--admin-user", "ada", repository);
  await exec(fossil, directory, "user", "password", "ada", "secret", "-R", repository);
  const program = join(directory, "demo");
  writeFileSync(program, `#!${fossil}\nrepository: ${repository}\n`, { mode: 0o755 });
  const url = await serve(t, program, directory);

  const home = await fetch(url, { redirect: "manual" });
  assert.equal(home.status, 302);
  assert.ok(home.headers.get("location")?.startsWith(`${url}/`), "a Location of the server's own");
  const timeline = await fetch(`${url}/timeline`);
  assert.equal(timeline.status, 200);
  assert.match(await timeline.text(), /initial empty check-in/);
  assert.equal((await fetch(`${url}/no-such-page`)).status, 404);

  const copy = join(directory, "copy");
  mkdirSync(copy);
  const remote = url.replace("://", "://ada:secret@");
  await exec(
    fossil,
    directory,
    "clone",
    "--save-http-password",
    remote,
    join(directory, "copy.fossil"),
  );
  await exec(fossil, copy, "open", join(directory, "copy.fossil"));
  writeFileSync(join(copy, "house.txt"), "A house with a portico.\n");
  await exec(fossil, copy, "add", "house.txt");
  await exec(fossil, copy, "commit", "--no-warnings", "-m", "Lay the first stone");
  assert.match(await exec(fossil, directory, "timeline", "-R", repository), /Lay the first stone/);
  const raw = await fetch(`${url}/raw/house.txt?ci=trunk`);
  assert.equal(await raw.text(), "A house with a portico.\n");
});

test("hgweb shows its pages, and mercurial clones from it and pushes to it", async (t) => {
  const hg = needs(t, "mercurial", ["hg"]);
  if (hg === undefined) return;
  const directory = temporaryDirectory(t);
  const exec = runner(directory);
  const repository = join(directory, "demo");
  await exec(hg, directory, "init", repository);
  writeFileSync(join(repository, "house.txt"), "A house with a portico.\n");
  await exec(hg, repository, "commit", "--addremove", "-m", "Lay the first stone");
  writeFileSync(
    join(repository, ".hg", "hgrc"),
    "[web]\nallow-push = *\npush_ssl = false\nallow-archive = gz\n",
  );
  const program = join(directory, "hgweb.cgi");
  writeFileSync(
    program,
    `#!/usr/bin/python3
from mercurial import demandimport; demandimport.enable()
from mercurial.hgweb import hgweb, wsgicgi
wsgicgi.launch(hgweb(b"${repository}", b"demo"))
`,
    { mode: 0o755 },
  );
  const url = await serve(t, program, directory);

  const log = await fetch(`${url}/shortlog`);
  assert.equal(log.status, 200);
  assert.match(await log.text(), /Lay the first stone/);
  assert.equal(
    await (await fetch(`${url}/raw-file/tip/house.txt`)).text(),
    "A house with a portico.\n",
  );
  const archive = await fetch(`${url}/archive/tip.tar.gz`);
  assert.equal(Buffer.from(await archive.arrayBuffer()).toString("hex", 0, 2), "1f8b");
  assert.equal((await fetch(`${url}/rev/0123`)).status, 404);

  await exec(hg, directory, "clone", url, "copy");
  const copy = join(directory, "copy");
  writeFileSync(join(copy, "house.txt"), "A house with two.\n");
  await exec(hg, copy, "commit", "-m", "Raise the second");
  await exec(hg, copy, "push");
  assert.equal(await exec(hg, repository, "log", "-r", "tip", "-T", "{desc}"), "Raise the second");
});
