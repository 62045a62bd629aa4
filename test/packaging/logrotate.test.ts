import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import test from "node:test";
import { promisify } from "node:util";
import { needs } from "../helpers/programs.ts";
import { startPortico, waitUntil } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const ROOT = join(import.meta.dirname, "../..");
/** Clients that ask one request after the other during the rotation, so that no second passes without lines. */
const CLIENTS = 4;
const REQUESTS_AFTER = 50;
const LOGGED_PATH = /"GET \/(\d+)\.txt /g;

test("logrotate renames the log, the server makes a new one, no line is lost or doubled", async (t) => {
  const logrotate = needs(t, "logrotate", ["/usr/sbin/logrotate", "logrotate"]);
  if (logrotate === undefined) return;
  const directory = temporaryDirectory(t);
  chmodSync(directory, 0o755);
  const logs = join(directory, "log");
  mkdirSync(logs);
  const log = join(logs, "access.log");
  const isRoot = process.getuid?.() === 0;
  const portico = await startPortico(t, {
    conf: {
      global: isRoot ? { username: "nobody" } : {},
      vhosts: [{ name: "localhost", port: 0, "access-log": log }],
    },
    workers: 2,
  });

  const rules = join(directory, "logrotate.conf");
  writeFileSync(
    rules,
    readFileSync(join(ROOT, "packaging/logrotate"), "utf8")
      .replace("/var/log/portico", logs)
      .replaceAll("/opt/portico", ROOT)
      .replace("/etc/portico", portico.directory),
    { mode: 0o644 },
  );
  assert.doesNotMatch(readFileSync(rules, "utf8"), /\/opt\/portico|\/var\/log/);

  let asked = 0;
  let last = Infinity;
  async function client(): Promise<void> {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    while (asked < last) await get(portico.port(), `/${asked++}.txt`, agent);
    agent.destroy();
  }
  const clients = Array.from({ length: CLIENTS }, client);
  await waitUntil("lines in the log", () => statSync(log).size > 0);
  const state = join(directory, "state");
  const { stderr } = await promisify(execFile)(logrotate, ["--force", "--state", state, rules]);
  assert.equal(stderr, "");
  last = asked + REQUESTS_AFTER;
  await Promise.all(clients);
  assert.equal(await portico.stop(), 0);

  const [old, current] = [`${log}.1`, log].map((file) =>
    [...readFileSync(file, "utf8").matchAll(LOGGED_PATH)].map(([, number]) => Number(number)),
  );
  assert.ok(old && current && old.length > 0 && current.length > 0);
  assert.deepEqual(
    [...old, ...current].toSorted((a, b) => a - b),
    Array.from({ length: asked }, (_, index) => index),
  );
  for (const file of [`${log}.1`, log]) {
    const { mode, uid } = statSync(file);
    assert.equal(mode & 0o777, 0o640, file);
    assert.equal(uid !== 0, isRoot || process.getuid?.() !== 0, file);
  }
});

async function get(port: number, path: string, agent: http.Agent): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  http
    .get({ host: "127.0.0.1", port, path, agent }, (response) => {
      response.resume();
      response.once("end", resolve);
    })
    .once("error", reject);
  return promise;
}
