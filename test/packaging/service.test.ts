import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { promisify } from "node:util";
import { globalShape } from "../../config/server.ts";
import { needs } from "../helpers/programs.ts";
import { startPortico, waitUntil } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const ROOT = join(import.meta.dirname, "../..");
const UNIT = readFileSync(join(ROOT, "packaging/portico.service"), "utf8");
const NEEDS_ROOT = process.getuid?.() === 0 ? false : "only root can drop to another user";
const CGI =
  "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nid -un\ngrep CapEff /proc/self/status\n";

function setting(name: string): string {
  const found = [...UNIT.matchAll(new RegExp(`^${name}=(.*)$`, "gm"))];
  assert.equal(found.length, 1, `${name} is there once`);
  return found[0]?.[1] ?? "";
}

suite("portico.service", () => {
  test("says nothing that systemd does not know", async (t) => {
    const analyze = needs(t, "systemd-analyze", ["systemd-analyze"]);
    if (analyze === undefined) return;
    const unit = join(temporaryDirectory(t), "portico.service");
    writeFileSync(unit, UNIT.replaceAll("/opt/portico", ROOT));
    const { stdout, stderr } = await promisify(execFile)(analyze, ["verify", "--man=no", unit]);
    assert.equal(stdout + stderr, "");
  });

  test("starts and reloads by files that an installation has", () => {
    for (const name of ["ExecStart", "ExecReload"]) {
      const [node = "", flag, launcher = ""] = setting(name).split(" ");
      assert.equal(flag, "--disable-sigusr1");
      for (const file of [node, launcher])
        assert.ok(existsSync(file.replace("/opt/portico", ROOT)), file);
    }
  });

  test("is more patient than the server's own limits", () => {
    const defaults = globalShape.parse({});
    assert.ok(Number(setting("TimeoutStopSec")) > 2 * defaults["stop-secs"]);
    assert.ok(Number(setting("WatchdogSec")) > 2 * defaults["watchdog-secs"]);
    assert.doesNotMatch(UNIT, /^MemoryDenyWriteExecute/m);
  });

  test("leaves enough of root to serve", { skip: NEEDS_ROOT }, async (t) => {
    const setpriv = needs(t, "setpriv", ["setpriv"]);
    if (setpriv === undefined) return;
    const directory = temporaryDirectory(t);
    chmodSync(directory, 0o755);
    const log = join(directory, "access.log");
    const unixSocket = join(directory, "http.sock");
    const kept = setting("CapabilityBoundingSet").toLowerCase().replaceAll("cap_", "+").split(" ");
    const vhost = {
      name: "localhost",
      port: 0,
      "access-log": log,
      mounts: [{ mountpoint: "/id", origin: "cgi://./id.cgi" }],
    };
    const portico = await startPortico(t, {
      through: [setpriv, "--bounding-set", ["-all", ...kept].join(","), "--no-new-privs"],
      conf: {
        global: { username: "nobody", "watchdog-secs": 1 },
        vhosts: [
          vhost,
          {
            name: "local",
            "unix-socket": "on",
            interface: unixSocket,
            "unix-socket-perms": "nobody:nogroup",
          },
        ],
      },
      files: { "id.cgi": CGI },
      workers: 1,
      expect: [/^Worker died/],
    });
    assert.equal(
      await (await fetch(`${portico.url()}/id`)).text(),
      "nobody\nCapEff:\t0000000000000000\n",
    );
    const nobody = statSync(log).uid;
    assert.notEqual(nobody, 0);
    assert.equal(statSync(unixSocket).uid, nobody);

    // The log belongs to somebody else now; reload and reopen open it again.
    assert.equal((await portico.control("reload")).ok, true);
    assert.equal((await portico.control("reopen")).ok, true);
    // Whom the supervisor kills is another user as well.
    const worker = (await portico.status()).workers.find(({ state }) => state === "serving");
    assert.ok(worker);
    process.kill(worker.pid, "SIGSTOP");
    await portico.log(/^Worker died \(SIGKILL/);
    await waitUntil("a new worker", async () =>
      (await portico.status()).workers.some(
        ({ pid, state }) => state === "serving" && pid !== worker.pid,
      ),
    );
    assert.equal(await portico.stop(), 0);
  });
});
