import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { loadConfig } from "../../config/load.ts";
import type { PasswordFile } from "../../config/password-file.ts";
import { ConfigError, formatProblem } from "../../config/problems.ts";
import { readPasswordFiles } from "../../supervisor/password-files.ts";
import { writeConfig, type Files } from "../config/fixture.ts";

const HASH = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=";

type Found = {
  readonly files: readonly PasswordFile[];
  readonly errors: readonly string[];
  readonly remarks: readonly string[];
};

/** Two mounts and a protocol, each on its line, with the password files that are named. */
function conf(first: string, second = first, third = first): string {
  const mount = (at: string, file: string): string =>
    `{"mountpoint": "${at}", "origin": "file://./www", "basic-auth": "${file}"}`;
  return `{"vhosts": [{"port": 0, "mounts": [\n${mount("/", first)},\n${mount("/b", second)}],\n"ws-protocols": {"p": {"basic-auth": "${third}"}}}]}`;
}

async function read(t: TestContext, files: Files, gone?: string): Promise<Found> {
  const root = writeConfig(t, { "www/": "", ...files });
  const loaded = await loadConfig(root);
  if (gone !== undefined) rmSync(join(root, gone));
  const line = (problem: Parameters<typeof formatProblem>[0]): string =>
    `${problem.severity} ${formatProblem(problem)}`.replaceAll(root, "ROOT");
  try {
    const { files: found, remarks } = await readPasswordFiles(loaded);
    const relative = found.map(({ path, users }) => ({ path: path.replace(root, "ROOT"), users }));
    return { files: relative, errors: [], remarks: remarks.map(line) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { files: [], errors: error.problems.map(line), remarks: error.remarks.map(line) };
  }
}

test("readPasswordFiles reads each file once, whoever names it", async (t) => {
  const { files, errors, remarks } = await read(t, {
    conf: conf("a", "b"),
    a: `ann:${HASH}\n`,
    b: `bob:${HASH}\n`,
  });
  assert.deepEqual([errors, remarks], [[], []]);
  const user = (name: string): PasswordFile["users"] => [
    { name, scheme: "sha1", secret: HASH.slice(5) },
  ];
  assert.deepEqual(files, [
    { path: "ROOT/a", users: user("ann") },
    { path: "ROOT/b", users: user("bob") },
  ]);
});

test("readPasswordFiles tells each wrong line of every file, and nothing of what stands there", async (t) => {
  const { errors, remarks } = await read(t, {
    conf: conf("a", "b"),
    a: `ann:${HASH}\nhunter2\nbob:{X}hunter2\n`,
    b: "carl:hunter2\n:hunter2\n",
  });
  assert.deepEqual(errors, [
    'error ROOT/a:2:1: Expected "user:password"',
    "error ROOT/a:3:1: Expected {SHA}, {SSHA} or {PLAIN} in braces; write it with htpasswd -B",
    "error ROOT/b:2:1: Expected the name of a user before the colon",
  ]);
  assert.deepEqual(remarks, [
    "warning ROOT/b:1:1: Holds passwords that everybody can read who can read the file; write it with htpasswd -B",
  ]);
});

test("readPasswordFiles tells of a file that has gone, at every place that names it", async (t) => {
  const { errors } = await read(t, { conf: conf("a"), a: "" }, "a");
  assert.deepEqual(errors, [
    'error conf:2:61 vhosts[0].mounts[0].basic-auth: The password file "ROOT/a" cannot be read: ENOENT',
    'error conf:3:62 vhosts[0].mounts[1].basic-auth: The password file "ROOT/a" cannot be read: ENOENT',
    'error conf:4:38 vhosts[0].ws-protocols.p.basic-auth: The password file "ROOT/a" cannot be read: ENOENT',
  ]);
});

test("readPasswordFiles refuses a file of more than 4 MiB", async (t) => {
  const large = `${"#".repeat(4 * 1024 * 1024)}\n`;
  const { errors } = await read(t, { conf: conf("a", "b", "b"), a: large, b: `b:${HASH}` });
  assert.match(errors.join("\n"), /^error conf:2:61 .* is too large; at most 4194304 bytes/);
});

test("readPasswordFiles warns of a file that clients can fetch, or that names nobody", async (t) => {
  const { remarks } = await read(t, {
    conf: conf("www/users", "www/.users", "empty"),
    "www/users": `ann:${HASH}`,
    "www/.users": `ann:${HASH}`,
    empty: "# nobody yet\n",
  });
  assert.deepEqual(remarks, [
    'warning conf:2:61 vhosts[0].mounts[0].basic-auth: The password file "ROOT/www/users" can be fetched: it lies in "ROOT/www", which is served',
    'warning conf:4:38 vhosts[0].ws-protocols.p.basic-auth: The password file "ROOT/empty" names no user: nobody gets in',
  ]);
});
