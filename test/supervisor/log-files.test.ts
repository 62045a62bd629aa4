import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { loadConfig, type LoadedConfig } from "../../config/load.ts";
import { ConfigError } from "../../config/problems.ts";
import { createLogFiles } from "../../supervisor/log-files.ts";

const NOBODY = { name: "nobody", uid: 65_534, gid: 65_534 };

async function load(
  t: TestContext,
  log: string,
): Promise<{ directory: string; loaded: LoadedConfig }> {
  const directory = mkdtempSync(join(tmpdir(), "portico-test-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "logs/of"), { recursive: true });
  const vhost = { name: "localhost", port: 0, "access-log": log };
  writeFileSync(join(directory, "conf"), JSON.stringify({ vhosts: [vhost] }));
  return { directory, loaded: await loadConfig(directory) };
}

test("createLogFiles makes a missing file, for the workers' user where it can", async (t) => {
  const { directory, loaded } = await load(t, "access.log");
  createLogFiles(loaded, NOBODY);
  const { mode, uid } = statSync(join(directory, "access.log"));
  assert.equal(mode & 0o777, 0o640);
  assert.equal(uid, process.getuid?.() === 0 ? NOBODY.uid : process.getuid?.());
});

test("createLogFiles neither follows a link nor gives away what it leads to", async (t) => {
  const { directory, loaded } = await load(t, "access.log");
  writeFileSync(join(directory, "secret"), "root's");
  symlinkSync("secret", join(directory, "access.log"));
  createLogFiles(loaded, NOBODY);
  assert.equal(statSync(join(directory, "secret")).uid, process.getuid?.());
});

test("createLogFiles does not make the target of a dangling link", async (t) => {
  const { directory, loaded } = await load(t, "access.log");
  symlinkSync("elsewhere", join(directory, "access.log"));
  createLogFiles(loaded, NOBODY);
  assert.equal(existsSync(join(directory, "elsewhere")), false);
});

const ROOT_ONLY = { skip: process.getuid?.() !== 0 && "needs root" };

test(
  "createLogFiles makes nothing behind a link that the workers' user could have made",
  ROOT_ONLY,
  async (t) => {
    const { directory, loaded } = await load(t, "logs/of/access.log");
    const logs = join(directory, "logs");
    mkdirSync(join(directory, "secrets"));
    rmdirSync(join(logs, "of"));
    symlinkSync("../secrets", join(logs, "of"));
    chownSync(logs, NOBODY.uid, NOBODY.gid);
    assert.throws(() => createLogFiles(loaded, NOBODY), /"of" on the way is a link/);
    assert.equal(existsSync(join(directory, "secrets/access.log")), false);
  },
);

test("createLogFiles follows a link of root's", ROOT_ONLY, async (t) => {
  const { directory, loaded } = await load(t, "logs/of/access.log");
  mkdirSync(join(directory, "elsewhere"));
  rmdirSync(join(directory, "logs/of"));
  symlinkSync("../elsewhere", join(directory, "logs/of"));
  createLogFiles(loaded, NOBODY);
  assert.equal(statSync(join(directory, "elsewhere/access.log")).uid, NOBODY.uid);
});

test("createLogFiles does not wait for the reader of a FIFO", async (t) => {
  const { directory, loaded } = await load(t, "access.log");
  execFileSync("mkfifo", [join(directory, "access.log")]);
  createLogFiles(loaded, undefined);
});

test("createLogFiles names the place of a file that cannot be made", async (t) => {
  const { directory, loaded } = await load(t, "logs/access.log");
  rmSync(join(directory, "logs"), { recursive: true });
  assert.throws(
    () => createLogFiles(loaded, undefined),
    (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(
        error.message,
        /^conf:1:\d+ vhosts\[0\]\.access-log: Cannot open ".*logs\/access\.log": ENOENT$/,
      );
      return true;
    },
  );
});
