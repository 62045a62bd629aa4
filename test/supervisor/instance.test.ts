import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { askControl, serveControl } from "../../supervisor/control.ts";
import { InstanceError, instancePaths, lockInstance } from "../../supervisor/instance.ts";

function tempDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "portico-test-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test("lockInstance lets one in, names its pid to the next, and lets that one in afterwards", async (t) => {
  const pidFile = join(tempDirectory(t), "run", "portico.pid");
  const lock = await lockInstance(pidFile);
  assert.equal(readFileSync(pidFile, "utf8"), `${process.pid}\n`);
  await assert.rejects(lockInstance(pidFile), (error: Error) => {
    assert.ok(error instanceof InstanceError);
    assert.match(error.message, new RegExp(`pid ${process.pid}`));
    return true;
  });
  lock.release();
  assert.equal(existsSync(pidFile), false);
  (await lockInstance(pidFile)).release();
});

test("lockInstance takes over the pid file of one that crashed", async (t) => {
  const pidFile = join(tempDirectory(t), "portico.pid");
  writeFileSync(pidFile, `${2 ** 22}\n`);
  const lock = await lockInstance(pidFile);
  assert.equal(readFileSync(pidFile, "utf8"), `${process.pid}\n`);
  lock.release();
});

test("instancePaths puts the control socket beside a configured pid file", (t) => {
  const directory = tempDirectory(t);
  const paths = instancePaths(directory, { "pid-file": "/run/site.pid" });
  assert.equal(paths.pidFile, "/run/site.pid");
  assert.equal(paths.controlSocket, "/run/site.sock");
  assert.equal(paths.knownSocket, instancePaths(directory).controlSocket);
  assert.equal(instancePaths(directory, { "control-socket": "/run/c" }).controlSocket, "/run/c");
});

test("instancePaths tells two directories of one name apart", (t) => {
  const [one, two] = [tempDirectory(t), tempDirectory(t)];
  assert.notEqual(instancePaths(one).pidFile, instancePaths(two).pidFile);
  assert.equal(instancePaths(one).pidFile, instancePaths(join(one, ".")).pidFile);
});

test("serveControl refuses to take the socket of a server that answers, and takes that of one that is gone", async (t) => {
  const socket = join(tempDirectory(t), "portico.sock");
  const paths = { controlSocket: socket, knownSocket: socket };
  const ok = { ok: true, message: "first" };
  const first = await serveControl(paths, async () => ok);
  await assert.rejects(
    serveControl(paths, async () => ok),
    (error: Error) => {
      assert.ok(error instanceof InstanceError);
      assert.match(error.message, /^Another portico runs this configuration: it answers on/);
      return true;
    },
  );
  assert.deepEqual(await askControl(socket, "status"), ok);
  await first.close();
  await (await serveControl(paths, async () => ok)).close();
});
