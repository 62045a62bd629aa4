import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { promisify } from "node:util";
import { needs } from "../helpers/programs.ts";
import { startPortico } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const run = promisify(execFile);

test("git pushes with a password over git http-backend, and not without", async (t) => {
  const backend = needs(t, "git http-backend", [
    "/usr/lib/git-core/git-http-backend",
    "/usr/libexec/git-core/git-http-backend",
  ]);
  const git = backend && needs(t, "git", ["git"]);
  if (git === undefined) return;
  const directory = temporaryDirectory(t);
  const env = {
    PATH: process.env["PATH"],
    HOME: directory,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
  };
  const gitIn = (cwd: string, ...args: string[]): string =>
    execFileSync(git, args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  gitIn(directory, "init", "--quiet", "--bare", "demo.git");
  gitIn(directory, "init", "--quiet", "--initial-branch=main", "work");
  const work = join(directory, "work");
  writeFileSync(join(work, "file"), "content\n");
  gitIn(work, "add", "file");
  gitIn(work, "-c", "user.name=Ann", "-c", "user.email=ann@example.com", "commit", "-qm", "First");

  const portico = await startPortico(t, {
    conf: {
      vhosts: [
        {
          name: "localhost",
          port: 0,
          mounts: [
            {
              mountpoint: "/git",
              origin: `cgi://${backend}`,
              "basic-auth": "./passwords",
              "cgi-env": [{ GIT_PROJECT_ROOT: directory, GIT_HTTP_EXPORT_ALL: "1" }],
              "cgi-timeout": 30,
            },
          ],
        },
      ],
    },
    workers: 1,
    // "secret", with bcrypt.
    files: { passwords: "ann:$2b$04$SKjzGZ8qsZuy4CYff1./TOEKFtF4WI70BufgpAbXs7YD/dAo22Iba\n" },
  });
  const urlFor = (user: string): string =>
    `${portico.url().replace("://", `://${user}`)}/git/demo.git`;
  const push = (user: string): Promise<unknown> =>
    run(git, ["push", "--quiet", urlFor(user), "main"], { cwd: work, env });

  await assert.rejects(push(""), /could not read Username/);
  await assert.rejects(push("ann:wrong@"), /Authentication failed/);
  // receive-pack is off for everybody but a user that the server names: REMOTE_USER is what lets this one in.
  await push("ann:secret@");
  const head = gitIn(work, "rev-parse", "HEAD");
  assert.equal(gitIn(join(directory, "demo.git"), "rev-parse", "main"), head);
  const { stdout } = await run(git, ["ls-remote", urlFor("ann:secret@"), "main"], { env });
  assert.equal(stdout, `${head.trim()}\trefs/heads/main\n`);
});
