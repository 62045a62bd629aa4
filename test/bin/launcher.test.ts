import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { temporaryDirectory } from "../helpers/site.ts";

const ROOT = join(import.meta.dirname, "../..");
const LAUNCHER = join(ROOT, "bin/portico.mjs");
const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  version: string;
};
/** The system's own Node, which is rarely the one that Portico wants. */
const SYSTEM_NODE = "/usr/bin/node";

suite("portico.mjs", () => {
  test("starts by a link to it from anywhere", (t) => {
    const link = join(temporaryDirectory(t), "portico");
    symlinkSync(LAUNCHER, link);
    const options = { cwd: "/", encoding: "utf8" } as const;
    assert.equal(execFileSync(link, ["--version"], options), `${version}\n`);
    const directory = join(temporaryDirectory(t), "new");
    assert.match(execFileSync(link, ["init", directory], options), /^ {2}portico run -c /m);
  });

  test("an older Node becomes the one that came with the packages", (t) => {
    const major = existsSync(SYSTEM_NODE)
      ? Number(execFileSync(SYSTEM_NODE, ["-p", "parseInt(process.versions.node)"]))
      : Infinity;
    if (!(major < 26)) return t.skip(`no older Node in ${SYSTEM_NODE}`);
    const options = { encoding: "utf8", env: { PATH: "/usr/bin:/bin" } } as const;
    assert.equal(execFileSync(SYSTEM_NODE, [LAUNCHER, "--version"], options), `${version}\n`);
  });
});
