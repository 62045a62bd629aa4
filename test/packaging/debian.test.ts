import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, suite, test } from "node:test";
import { existsSync } from "node:fs";
import { needs } from "../helpers/programs.ts";
import { waitUntil } from "../helpers/server.ts";
import { openThrowawayRoot } from "../helpers/throwaway-root.ts";

const ROOT = join(import.meta.dirname, "../..");
const PAGE = "http://127.0.0.1:7681/";

/** A copy of Node is packed, unpacked and replaced: seconds, and minutes where the machine has much else to do. */
const PATIENCE_MS = 600_000;

/** What dpkg, adduser, man-db and logs of these keep about every package that ever was. */
const BOOKS = [
  "/etc/passwd",
  "/etc/passwd-",
  "/etc/group",
  "/etc/group-",
  "/etc/shadow",
  "/etc/shadow-",
  "/etc/gshadow",
  "/etc/gshadow-",
  "/etc/subuid",
  "/etc/subuid-",
  "/etc/subgid",
  "/etc/subgid-",
  "/etc/.pwd.lock",
  "/var/lib/dpkg",
  "/var/log",
  "/var/cache/man",
  "/var/lib/systemd/deb-systemd-helper-enabled",
  "/var/lib/systemd/deb-systemd-helper-masked",
];

suite("The Debian package", { timeout: PATIENCE_MS }, () => {
  let file = "";
  before(() => {
    if (!existsSync("/usr/bin/dpkg-deb")) return;
    const npm = { ...process.env, DPKG_DEB_COMPRESSOR_TYPE: "none" };
    execFileSync("npm", ["run", "package:deb"], { cwd: ROOT, env: npm, stdio: "pipe" });
    [file = ""] = globSync(join(ROOT, "build/portico_*.deb"));
  });

  test(
    "installs, serves as its own user, is replaced, removed and purged",
    { timeout: PATIENCE_MS },
    async (t) => {
      if (needs(t, "dpkg", ["dpkg"]) === undefined || needs(t, "curl", ["curl"]) === undefined)
        return;
      const machine = await openThrowawayRoot(t);
      if (machine === undefined) return;
      const { run, get, path, changes } = machine;
      // What keeps services from starting where images are built.
      get(
        "sh",
        "-c",
        "rm -f /usr/sbin/policy-rc.d; getent passwd portico && userdel portico || true",
      );
      const atFirst = changes(BOOKS);
      get("dpkg", "--install", file);
      assert.match(get("curl", "-sS", "-D", "-", PAGE), /^HTTP\/1\.1 200 OK\r[^]*<!doctype html>/i);
      const users = (): string[] =>
        get("ps", "-eo", "user=,args=")
          .trim()
          .split("\n")
          .filter((line) => line.includes("/usr/lib/portico/"))
          .map((line) => line.split(" ")[0] ?? "");
      const [supervisor, ...workers] = users().toSorted((a, b) => b.localeCompare(a));
      assert.equal(supervisor, "root");
      assert.ok(workers.length > 0);
      assert.deepEqual([...new Set(workers)], ["portico"]);
      assert.equal(get("stat", "-c", "%U", "/var/log/portico/localhost.log"), "portico\n");
      assert.match(get("service", "portico", "status"), /is running/);
      assert.match(get("portico", "check"), /can be served/);
      // Native modules are there: without them the log would say what cannot be done.
      const log = readFileSync(path("var/log/portico.log"), "utf8");
      assert.match(log, /serves with/);
      assert.doesNotMatch(log, /cannot|No subreaper|"level":[456]/);
      assert.match(get("getent", "passwd", "portico"), /:\/nonexistent:\/usr\/sbin\/nologin$/m);

      // The unit finds what it starts where the package put it.
      const unit = "/usr/lib/systemd/system/portico.service";
      if (existsSync("/usr/bin/systemd-analyze"))
        assert.equal(get("systemd-analyze", "verify", unit), "");
      const started = /^ExecStart=(\S+) \S+ (\S+)/m.exec(readFileSync(path(unit), "utf8"));
      for (const program of started?.slice(1) ?? [""])
        assert.ok(existsSync(path(program)), program);

      // Each library that Node depends on is in a package that it names.
      const libraries = [
        ...get("ldd", "/usr/lib/portico/node_modules/.bin/node").matchAll(/=> (\S+)/g),
      ];
      const depends = get("dpkg-query", "-W", "-f", "${Depends}", "portico");
      assert.ok(libraries.length > 3);
      for (const [, library = ""] of libraries) {
        const owner = ownerOf(get, library);
        assert.match(depends, new RegExp(`\\b${owner.replaceAll("+", "\\+")}\\b`), library);
      }

      // Changed configuration files survive what replaces the package, and the server comes back with it.
      const conf = readFileSync(path("etc/portico/conf"), "utf8");
      writeFileSync(path("etc/portico/conf"), `# changed here\n${conf}`);
      get("dpkg", "--install", file);
      assert.match(readFileSync(path("etc/portico/conf"), "utf8"), /^# changed here/);
      assert.equal(get("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", PAGE), "200");
      if (existsSync("/usr/sbin/logrotate")) {
        get("logrotate", "--force", "--state", "/tmp/state", "/etc/logrotate.d/portico");
        assert.ok(existsSync(path("var/log/portico/localhost.log.1")));
        await waitUntil("a new log", () => existsSync(path("var/log/portico/localhost.log")));
      }

      get("dpkg", "--remove", "portico");
      assert.notEqual(run("curl", "-sS", PAGE).code, 0);
      assert.deepEqual(users(), []);
      assert.deepEqual(
        changes(BOOKS).filter((found) => !atFirst.includes(found) && !found.startsWith("/etc/rc")),
        [
          "/etc/init.d/portico",
          "/etc/logrotate.d/portico",
          "/etc/portico",
          "/etc/portico/conf",
          "/etc/portico/conf.d",
          "/etc/portico/conf.d/localhost",
          // What the administrator enabled or masked is remembered until the purge.
          "/etc/systemd/system/multi-user.target.wants/portico.service",
          "/etc/systemd/system/portico.service",
        ],
      );

      get("dpkg", "--purge", "portico");
      assert.deepEqual(changes(BOOKS), atFirst);
      assert.deepEqual(globSync(`${path("var/log")}/portico*`), []);
      assert.equal(existsSync(path("run/portico")), false);
      assert.match(get("getent", "passwd", "portico"), /nologin/);
    },
  );
});

/** On a merged /usr dpkg may know a library by the other one of its names. */
function ownerOf(get: (...command: string[]) => string, library: string): string {
  const real = get("realpath", library).trim();
  const found = get(
    "sh",
    "-c",
    `dpkg -S ${real} 2>/dev/null || dpkg -S ${real.replace("/usr", "")}`,
  );
  return found.split(":")[0] ?? "";
}
