// Git's own client against a git:// mount.

import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { needs } from "../helpers/programs.ts";
import { startPortico, type PorticoOptions } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const run = promisify(execFile);
const REFS = 500;
const MB = 1024 * 1024;

type Repositories = {
  readonly url: string;
  readonly directory: string;
  /** Runs git in a directory; resolves with its output, rejects with what it said on stderr. */
  readonly git: (cwd: string, ...args: string[]) => Promise<string>;
};

async function serveGit(
  t: TestContext,
  keys: Record<string, unknown> = {},
  options: Partial<PorticoOptions> = {},
  backend?: string,
): Promise<Repositories | undefined> {
  const program = needs(t, "git", ["git"]);
  if (program === undefined) return undefined;
  const directory = temporaryDirectory(t);
  const env = {
    PATH: process.env["PATH"],
    HOME: directory,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_AUTHOR_NAME: "Ada",
    GIT_AUTHOR_EMAIL: "ada@example.com",
    GIT_COMMITTER_NAME: "Ada",
    GIT_COMMITTER_EMAIL: "ada@example.com",
  };
  const git: Repositories["git"] = async (cwd, ...args) =>
    (await run(program, args, { cwd, env, maxBuffer: 64 * MB })).stdout.trim();

  const source = join(directory, "source");
  mkdirSync(source);
  await git(source, "init", "--quiet", "--initial-branch=main");
  writeFileSync(join(source, "README"), "A house with a portico.\n");
  await git(source, "add", ".");
  await git(source, "commit", "--quiet", "--message=First");
  writeFileSync(join(source, "big"), randomBytes(2 * MB));
  await git(source, "add", ".");
  await git(source, "commit", "--quiet", "--message=Second");
  const refs = Array.from({ length: REFS }, (_, index) => `create refs/tags/t${index} HEAD\n`);
  execFileSync(program, ["update-ref", "--stdin"], { cwd: source, env, input: refs.join("") });
  mkdirSync(join(directory, "srv"));
  await git(directory, "clone", "--quiet", "--bare", source, "srv/demo.git");
  await git(join(directory, "srv/demo.git"), "config", "http.receivepack", "true");

  const root = join(directory, "srv");
  const origin =
    backend === undefined
      ? { origin: `git://${root}` }
      : // Whoever runs the tests need not own what they made.
        { origin: `cgi://${backend}`, "cgi-env": { GIT_PROJECT_ROOT: root, HOME: directory } };
  const mounts = [{ mountpoint: "/git", ...origin, ...keys }];
  const conf = { vhosts: [{ name: "localhost", port: 0, mounts }] };
  const portico = await startPortico(t, { conf, workers: 1, ...options });
  return { url: `${portico.url()}/git`, directory, git };
}

for (const version of ["0", "2"])
  test(`git clones, fetches and clones shallowly by protocol ${version}`, async (t) => {
    const served = await serveGit(t);
    if (!served) return;
    const { url, directory, git } = served;
    const protocol = ["-c", `protocol.version=${version}`];
    await git(directory, ...protocol, "clone", "--quiet", `${url}/demo.git`, "copy");
    const copy = join(directory, "copy");
    const head = await git(join(directory, "source"), "rev-parse", "HEAD");
    assert.equal(await git(copy, "rev-parse", "HEAD"), head);
    assert.equal((await git(copy, "tag")).split("\n").length, REFS);
    await git(copy, "fsck", "--strict");

    const source = join(directory, "source");
    await git(source, "commit", "--quiet", "--allow-empty", "--message=Third");
    await git(source, "push", "--quiet", join(directory, "srv/demo.git"), "main");
    await git(copy, ...protocol, "fetch", "--quiet");
    assert.equal(await git(copy, "log", "-1", "--format=%s", "origin/main"), "Third");

    await git(
      directory,
      ...protocol,
      "clone",
      "--quiet",
      "--depth=1",
      `${url}/demo.git`,
      "shallow",
    );
    assert.equal(await git(join(directory, "shallow"), "rev-list", "--count", "HEAD"), "1");
  });

test("git:// refuses pushes, whatever a repository allows", async (t) => {
  const served = await serveGit(t);
  if (!served) return;
  const { url, directory, git } = served;
  await assert.rejects(
    git(join(directory, "source"), "push", `${url}/demo.git`, "main:evil"),
    /403/,
  );
  const status = async (path: string, init?: RequestInit): Promise<number> =>
    (await fetch(url + path, init)).status;
  assert.equal(await status("/demo.git/info/refs?service=git-receive-pack"), 403);
  assert.equal(await status("/demo.git/info/refs?x&service=git%2Dreceive%2Dpack"), 403);
  assert.equal(await status("/demo.git/git-receive-pack", { method: "POST", body: "0000" }), 403);
  const refs = await git(join(directory, "srv/demo.git"), "for-each-ref", "refs/heads");
  assert.doesNotMatch(refs, /evil/);
});

test("git:// answers every file of a repository, and nothing beside", async (t) => {
  const served = await serveGit(t);
  if (!served) return;
  const { url, directory, git } = served;
  const repository = join(directory, "srv/demo.git");
  await git(repository, "repack", "-a", "-d", "-q");
  await git(repository, "update-server-info");
  writeFileSync(join(repository, "objects/info/alternates"), "/nowhere\n");
  writeFileSync(join(repository, "objects/info/http-alternates"), "/nowhere\n");
  const pack = /pack-[0-9a-f]+/.exec(readdirSync(join(repository, "objects/pack")).join(" "))?.[0];
  // Of no pack.
  writeFileSync(join(directory, "loose"), "loose\n");
  const loose = await git(repository, "hash-object", "-w", join(directory, "loose"));
  const get = async (path: string): Promise<number> => (await fetch(url + path)).status;
  for (const [path, status] of [
    ["/demo.git/HEAD", 200],
    ["/demo.git/info/refs", 200],
    ["/demo.git/info/refs?service=git-upload-pack", 200],
    ["/demo.git/info/refs?service=git-receive-pack", 403],
    ["/demo.git/objects/info/packs", 200],
    ["/demo.git/objects/info/alternates", 200],
    ["/demo.git/objects/info/http-alternates", 200],
    [`/demo.git/objects/${loose.slice(0, 2)}/${loose.slice(2)}`, 200],
    [`/demo.git/objects/pack/${pack}.pack`, 200],
    [`/demo.git/objects/pack/${pack}.idx`, 200],
    ["/demo.git/objects/00/00000000000000000000000000000000000000", 404],
    ["/demo.git/config", 404],
    ["/demo.git/hooks/update.sample", 404],
    ["/demo.git/../../etc/passwd", 404],
    ["/demo.git%2f..%2f..%2fsource/.git/HEAD", 404],
    ["/missing.git/HEAD", 404],
    ["/", 404],
  ] as const)
    assert.equal(await get(path), status, path);
  assert.equal((await fetch(`${url}/demo.git/git-upload-pack`)).status, 405);
  const upload = {
    method: "POST",
    headers: { "Content-Type": "application/x-git-upload-pack-request" },
    body: "0000",
  };
  assert.equal((await fetch(`${url}/demo.git/git-upload-pack`, upload)).status, 200);
});

test("git http-backend as a program keeps to what a repository says of itself", async (t) => {
  const backend = needs(t, "git http-backend", [
    "/usr/lib/git-core/git-http-backend",
    "/usr/libexec/git-core/git-http-backend",
  ]);
  const served = backend && (await serveGit(t, {}, {}, backend));
  if (!served) return;
  const { url, directory, git } = served;
  const repository = join(directory, "srv/demo.git");
  const refs = "/demo.git/info/refs?service=";
  const get = async (path: string): Promise<number> => (await fetch(url + path)).status;
  assert.equal(await get("/demo.git/HEAD"), 404);
  writeFileSync(join(repository, "git-daemon-export-ok"), "");
  assert.equal(await get("/demo.git/HEAD"), 200);
  for (const [key, value, path, status] of [
    ["http.getanyfile", "false", "/demo.git/HEAD", 403],
    ["http.uploadpack", "true", `${refs}git-upload-pack`, 200],
    ["http.uploadpack", "false", `${refs}git-upload-pack`, 403],
    ["http.receivepack", "false", `${refs}git-receive-pack`, 403],
    ["http.receivepack", "true", `${refs}git-receive-pack`, 200],
  ] as const) {
    await git(repository, "config", key, value);
    assert.equal(await get(path), status, `${key} ${value}`);
  }
});

test("git-push lets those push whose password is right, also in chunks, and nobody else", async (t) => {
  // "secret", with bcrypt.
  const passwords = "ann:$2b$04$SKjzGZ8qsZuy4CYff1./TOEKFtF4WI70BufgpAbXs7YD/dAo22Iba\n";
  const served = await serveGit(t, { "git-push": "./passwords" }, { files: { passwords } });
  if (!served) return;
  const { url, directory, git } = served;
  const source = join(directory, "source");
  writeFileSync(join(source, "more"), randomBytes(5 * MB));
  await git(source, "add", ".");
  await git(source, "commit", "--quiet", "--message=Five megabytes");
  const push = (user: string): Promise<string> => {
    const target = `${url.replace("://", `://${user}`)}/demo.git`;
    // A small buffer makes git send the pack in chunks, after a probe of the rights.
    return git(source, "-c", "http.postBuffer=65536", "push", "--quiet", target, "main");
  };
  await assert.rejects(push(""), /could not read Username|Authentication failed/);
  await assert.rejects(push("ann:wrong@"), /Authentication failed/);
  const status = await fetch(`${url}/demo.git/git-receive-pack`, { method: "POST", body: "0000" });
  assert.equal(status.status, 401);
  assert.match(status.headers.get("www-authenticate") ?? "", /^Basic /);
  await push("ann:secret@");
  const pushed = await git(join(directory, "srv/demo.git"), "rev-parse", "main");
  assert.equal(pushed, await git(source, "rev-parse", "HEAD"));
  // Reading needs no password.
  await git(directory, "clone", "--quiet", `${url}/demo.git`, "copy");
});
