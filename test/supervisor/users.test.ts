import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadConfig } from "../../config/load.ts";
import { ConfigError, formatProblem } from "../../config/problems.ts";
import { checkSocketOwners } from "../../supervisor/users.ts";
import { temporaryDirectory } from "../helpers/site.ts";

test("checkSocketOwners names every user and group that does not exist, with its place", async (t) => {
  const directory = temporaryDirectory(t);
  const socket = (name: string, perms: string) =>
    `{"unix-socket": 1, "interface": "@${name}", "unix-socket-perms": "${perms}"}`;
  const vhosts = [
    socket("a", "root:root"),
    socket("b", "12345:54321"),
    socket("c", "no-such-user:root"),
    socket("d", "root:no-such-group"),
    // An option look-alike is a name like any other.
    socket("e", "-u:root"),
  ];
  writeFileSync(join(directory, "conf"), `{"vhosts": [\n${vhosts.join(",\n")}]}`);
  const loaded = await loadConfig(directory);
  assert.throws(
    () => checkSocketOwners(loaded),
    (error) => {
      assert.ok(error instanceof ConfigError);
      const column = socket("a", "").length - 2;
      const place = (line: number) => `conf:${line}:${column}`;
      assert.deepEqual(error.problems.map(formatProblem), [
        `${place(4)} vhosts[2].unix-socket-perms: Unknown user "no-such-user"`,
        `${place(5)} vhosts[3].unix-socket-perms: Unknown group "no-such-group"`,
        `${place(6)} vhosts[4].unix-socket-perms: Unknown user "-u"`,
      ]);
      return true;
    },
  );
});
