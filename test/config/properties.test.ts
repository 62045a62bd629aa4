// Whatever a file holds, it loads or comes to problems with a place. Any other exception fails.

import assert from "node:assert/strict";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as fc from "fast-check";
import { loadConfig } from "../../config/load.ts";
import { ConfigError, formatProblemWithSource, type Problem } from "../../config/problems.ts";
import { writeConfig } from "./fixture.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures/config/*/conf");
const SAMPLE = `# a server
{ "=NAME": "x.example",
  "global": { "uid": "48", "init-ssl": "0", "plugin-dir": ".", "plugin-dir": "./www", "timeout-secs": 5 },
  "vhosts": [ { "name": "\${NAME}", "port": "0", "keepalive-timeout": "9", // one
      "headers": [ { "X-A": "1" } ],
      "mounts": [
        { "mountpoint": "/", "origin": "file://./www", "extra-mimetypes": { ".z": "a/b" } },
        { "mountpoint": "/r/", "origin": ">https://a.example/", "append-path": "1" },
        { "mountpoint": "/c", "origin": "callback://p", "origin": "callback://q", "pmo": [ { "a": "\${env:A}" } ] } ],
      "ws-protocols": [ { "p": { "status": "ok", "default": "1", "deep": { "er": [ null ] } } } ] },
    { "unix-socket": "1", "interface": "@s", "sts": "on", "ciphers": "x:HIGH", "nmae": "b" },
  ] /* end */ }
`;

async function problemsOf(directory: string): Promise<readonly Problem[]> {
  try {
    const { remarks } = await loadConfig(directory, { environment: { A: "a" } });
    return remarks;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    assert.notEqual(error.problems.length, 0);
    assert.ok(error.problems.every(({ severity }) => severity === "error"));
    return error.problems;
  }
}

async function checkFile(directory: string, content: string | Uint8Array): Promise<void> {
  writeFileSync(join(directory, "conf"), content);
  const lines = Buffer.from(content).toString().split("\n").length;
  for (const problem of await problemsOf(directory)) {
    assert.equal(problem.file, "conf");
    assert.ok(
      problem.line !== undefined && problem.line >= 1 && problem.line <= lines,
      problem.message,
    );
    assert.ok(problem.column !== undefined && problem.column >= 1);
    if (problem.source !== undefined) assert.ok(problem.column <= problem.source.length + 1);
    assert.match(formatProblemWithSource(problem), /^conf:\d+:\d+[ :]/);
  }
}

/** Words that mean something somewhere, so that random structures get past the first check. */
const words = fc.constantFrom(
  "global",
  "vhosts",
  "mounts",
  "ws-protocols",
  "name",
  "port",
  "origin",
  "mountpoint",
  "headers",
  "pmo",
  "plugin-dir",
  "cgi-env",
  "extra-mimetypes",
  "unix-socket",
  "interface",
  "default",
  "uid",
  "=A",
  "__proto__",
  "constructor",
  "toString",
  "basic-auth",
  "ciphers",
  "host-ssl-cert",
  "file:///tmp",
  "callback://p",
  ">https://a/",
  "cgi://usr/bin/env",
  "/",
  "1",
  "on",
  "${A}",
  "${env:A}",
  "_lws_ddir_",
  "@s",
  "",
  "\u0000",
  "\ud800",
);
const scalars = fc.oneof(
  words,
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.string({ unit: "binary" }),
);
const { tree } = fc.letrec<{ tree: string }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 6 },
    scalars.map((value) => JSON.stringify(value)),
    fc.array(tie("tree"), { maxLength: 4 }).map((items) => `[${items.join(", ")}]`),
    fc
      .array(fc.tuple(words, tie("tree")), { maxLength: 6 })
      .map(
        (members) =>
          `{${members.map(([key, value]) => `${JSON.stringify(key)}:\n${value}`).join(", ")}}`,
      ),
  ),
}));
const shaped = fc
  .tuple(tree, tree, tree)
  .map(
    ([global, vhost, mounts]) =>
      `{"global": ${global}, "vhosts": [${vhost}, {"port": 0, "mounts": ${mounts}}, {"port": 1, "name": "b", "ws-protocols": ${vhost}}]}`,
  );

test("loadConfig answers any JSON text with a configuration or with placed problems", async (t) => {
  const directory = writeConfig(t, { conf: "" });
  const texts = fc.oneof(tree, shaped, fc.json());
  await fc.assert(
    fc.asyncProperty(texts, (text) => checkFile(directory, text)),
    { numRuns: 200 },
  );
});

test("loadConfig answers any bytes with a configuration or with placed problems", async (t) => {
  const directory = writeConfig(t, { conf: "" });
  const pieces = fc.array(
    fc.constantFrom(...Array.from('{}[]:,"\\#/*\n0-e.ut '), "true", "null", '"a"', "é", "\uFEFF"),
  );
  const contents = fc.oneof(
    pieces.map((found) => found.join("")),
    fc.uint8Array({ maxLength: 64 }),
  );
  await fc.assert(
    fc.asyncProperty(contents, (content) => checkFile(directory, content)),
    { numRuns: 200 },
  );
});

test("loadConfig answers a good file with some bytes changed with a configuration or with placed problems", async (t) => {
  const directory = writeConfig(t, { conf: SAMPLE, "www/": "" });
  assert.deepEqual(
    new Set((await problemsOf(directory)).map(({ severity }) => severity)),
    new Set(["warning", "notice"]),
  );
  const wholes = [SAMPLE, ...globSync(FIXTURES).map((path) => readFileSync(path, "utf8"))];
  assert.ok(wholes.length > 10, "the search for fixtures found too few to prove anything");
  const edits = fc.array(
    fc.record({
      // Of the length, in thousandths.
      at: fc.nat({ max: 1_000 }),
      cut: fc.nat({ max: 12 }),
      put: fc.oneof(
        fc.constantFrom("", "{", "}", "[", "]", ",", '"', ":", "#", "\n", "null", "-1"),
        fc.string({ maxLength: 3 }),
      ),
    }),
    { minLength: 1, maxLength: 3 },
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...wholes), edits, async (whole, changes) => {
      let bytes = Buffer.from(whole);
      for (const { at, cut, put } of changes) {
        const start = Math.floor((bytes.length * at) / 1_000);
        const rest = bytes.subarray(start + cut);
        bytes = Buffer.concat([bytes.subarray(0, start), Buffer.from(put), rest]);
      }
      await checkFile(directory, bytes);
    }),
    { numRuns: 500 },
  );
});
