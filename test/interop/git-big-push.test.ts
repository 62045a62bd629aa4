// A push that is much bigger than the worker it goes through. Takes about 600 MB of disk.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { createCipheriv } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { test } from "node:test";
import { promisify } from "node:util";
import { needs } from "../helpers/programs.ts";
import { startPortico } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const run = promisify(execFile);
const MB = 1024 * 1024;
const PUSH_MB = 300;
/** A worker that held the push would grow by all of it. */
const MAX_GROWTH_MB = 100;
/** Nothing is compressed, and no blob is in the memory of git as a whole. */
const STREAMING = ["-c", "core.compression=0", "-c", "core.bigFileThreshold=1m"];

/** The same bytes each time, and none of them compressible: the key stream of a cipher. */
function* keyStream(megabytes: number): Generator<Buffer> {
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16));
  const zeros = Buffer.alloc(MB);
  for (let at = 0; at < megabytes; at += 1) yield cipher.update(zeros);
}

const skip = !existsSync("/proc/self/status") && "no /proc";
test(`git pushes ${PUSH_MB} MB, and the worker does not grow with it`, { skip }, async (t) => {
  const program = needs(t, "git", ["git"]);
  if (program === undefined) return;
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
  const source = join(directory, "source");
  const target = join(directory, "srv", "big.git");
  mkdirSync(source);
  const git = async (cwd: string, ...args: string[]): Promise<string> =>
    (await run(program, [...STREAMING, ...args], { cwd, env })).stdout.trim();
  await git(directory, "init", "--quiet", "--bare", target);
  await git(source, "init", "--quiet", "--initial-branch=main");

  async function commit(megabytes: number): Promise<string> {
    const child = spawn(program ?? "", [...STREAMING, "hash-object", "-w", "--stdin"], {
      cwd: source,
      env,
      stdio: ["pipe", "pipe", "inherit"],
    });
    const output = once(child.stdout, "data");
    await pipeline(Readable.from(keyStream(megabytes)), child.stdin);
    const blob = String(await output).trim();
    await git(source, "update-index", "--add", "--cacheinfo", `100644,${blob},file-${megabytes}`);
    await git(source, "commit", "--quiet", "--message=More");
    return blob;
  }

  const portico = await startPortico(t, {
    conf: {
      vhosts: [
        {
          name: "localhost",
          port: 0,
          mounts: [
            {
              mountpoint: "/git",
              origin: `git://${join(directory, "srv")}`,
              "git-push": "./passwords",
              "max-body-bytes": "1G",
              // Else the program asks for the whole blob in memory at once.
              "cgi-env": [{ GIT_CONFIG_COUNT: "3" }, ...configuration()],
            },
          ],
        },
      ],
    },
    workers: 1,
    // "secret", with bcrypt.
    files: { passwords: "ann:$2b$04$SKjzGZ8qsZuy4CYff1./TOEKFtF4WI70BufgpAbXs7YD/dAo22Iba\n" },
  });
  const url = `${portico.url().replace("://", "://ann:secret@")}/git/big.git`;
  const worker = (await portico.status()).workers[0]?.pid ?? 0;

  await commit(5);
  await git(source, "push", "--quiet", url, "main");
  const before = peakMb(worker);
  const blob = await commit(PUSH_MB);
  await git(source, "push", "--quiet", url, "main");
  const growth = peakMb(worker) - before;
  t.diagnostic(`the worker had ${before} MB at most before, and ${growth} MB more during the push`);
  assert.equal(await git(target, "cat-file", "-s", blob), String(PUSH_MB * MB));
  assert.equal(await git(target, "rev-parse", "main"), await git(source, "rev-parse", "main"));
  assert.ok(growth < MAX_GROWTH_MB, `The worker grew by ${growth} MB`);
});

/** Git's settings for the programs of the mount. */
function configuration(): Record<string, string>[] {
  return [
    ["safe.directory", "*"],
    ["core.bigFileThreshold", "1m"],
    ["receive.unpackLimit", "1"],
  ].map(([key = "", value = ""], index) => ({
    [`GIT_CONFIG_KEY_${index}`]: key,
    [`GIT_CONFIG_VALUE_${index}`]: value,
  }));
}

/** The most memory that a process has had. */
function peakMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024);
}
