// The chaos script in short: it finds nothing wrong, and would say so.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { text } from "node:stream/consumers";
import { needs } from "../helpers/programs.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const SCRIPT = join(import.meta.dirname, "../../loadtest/chaos.ts");

/** Beyond what a run takes on a machine with much else to do. */
const PATIENCE_MS = 600_000;

type Result = {
  readonly requests: Readonly<Record<string, number>>;
  readonly workersKilled: number;
  readonly problems: readonly string[];
};

test(
  "chaos.ts counts what clients and server saw while it reloads and a worker is killed",
  { skip: process.platform !== "linux" && "needs /proc", timeout: PATIENCE_MS },
  async (t) => {
    if (needs(t, "openssl", ["openssl"]) === undefined) return;
    const result = join(temporaryDirectory(t), "chaos.json");
    const options = ["--minutes", "0.01", "--events", "reload,kill -9", "--result", result];
    const child = spawn(process.execPath, [SCRIPT, ...options], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    t.after(() => child.kill());
    const [said, [code]] = await Promise.all([text(child.stderr), once(child, "exit")]);
    assert.equal(code, 0, said);
    const { requests, workersKilled, problems } = JSON.parse(
      readFileSync(result, "utf8"),
    ) as Result;
    assert.deepEqual(problems, []);
    assert.equal(workersKilled, 1);
    assert.ok((requests["answered"] ?? 0) > 50, JSON.stringify(requests));
  },
);

test("chaos.ts says which events there are", async () => {
  const child = spawn(process.execPath, [SCRIPT, "--events", "no such thing"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  assert.equal(code, 1);
  assert.match(said, /There is no event "no such thing"; there are reload, .*kill -9/);
});
