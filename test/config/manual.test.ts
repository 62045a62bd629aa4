// The manual and the JSON Schema: complete, fresh, and true of files that load.

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileKind, globalKind, mountKind, protocolKind, vhostKind } from "../../config/kinds.ts";
import { configurationSchema } from "../../config/json-schema.ts";
import { renderManual } from "../../config/manual.ts";
import { createLocator } from "../../config/document.ts";
import { parseText } from "../../config/text.ts";
import { plainValue } from "../../config/tree.ts";
import { formatSchema } from "../../bin/schema.ts";
import { runPortico } from "../helpers/server.ts";
import { load } from "./fixture.ts";
import { findMismatch, type Schema } from "./json-schema.ts";

const ROOT = join(import.meta.dirname, "../..");
const PAGE = readFileSync(join(ROOT, "docs/configuration.md"), "utf8");

test("docs/configuration.md is fresh", () => {
  assert.equal(PAGE, formatSchema(true), 'run "npm run docs"');
});

test("docs/configuration.md has a row for every key", () => {
  const kinds = [globalKind, vhostKind, mountKind, protocolKind];
  const keys = kinds.flatMap((kind) =>
    Object.keys({ ...kind.shape.shape, ...kind.others, ...kind.inert }),
  );
  assert.ok(keys.length > 80);
  const named = new Set(
    [...PAGE.matchAll(/^\| (`[^|]*`) \|/gm)].flatMap(
      ([, cell = ""]) => cell.match(/[^`, ]+/g) ?? [],
    ),
  );
  assert.deepEqual(
    keys.filter((key) => !named.has(key)),
    [],
  );
});

test("every working key has a manual entry", () => {
  for (const kind of [globalKind, vhostKind, mountKind])
    for (const [key, shape] of Object.entries(kind.shape.shape))
      assert.match((shape as { description?: string }).description ?? "", /^[A-Z].+\.$/s, key);
});

test("renderManual refuses a text that leaves a table out or asks for an unknown one", () => {
  assert.throws(() => renderManual("<!-- global -->\n"), /no place for: global: inert, vhost/);
  const text = readFileSync(join(ROOT, "config/manual.md"), "utf8");
  assert.throws(
    () => renderManual(`${text}\n<!-- nothing -->\n`),
    /Unknown table: <!-- nothing -->/,
  );
});

const examples = [...PAGE.matchAll(/^```json\n([^]*?)^```/gm)].map(([, text = ""]) => text);

for (const [index, text] of examples.entries())
  test(`example ${index + 1} of docs/configuration.md loads and fits the schema`, async (t) => {
    // Nothing but the files it names is missing here.
    const { errors, remarks } = await load(t, { conf: text });
    assert.deepEqual(
      errors.filter((line) => !line.includes("does not exist")),
      [],
    );
    assert.deepEqual(remarks, []);
    assert.equal(findMismatch(schema, JSON.parse(text)), undefined);
  });

const schema = configurationSchema() as Schema;

function values(text: string): unknown {
  const { tree, faults } = parseText(text, createLocator(text));
  assert.deepEqual(faults, []);
  assert.ok(tree);
  return plainValue(tree);
}

test("configurationSchema knows every key of every kind", () => {
  const { $defs: definitions = {} } = schema;
  const kinds = { global: globalKind, vhost: vhostKind, mount: mountKind, protocol: protocolKind };
  for (const [name, kind] of Object.entries({ ...kinds, file: fileKind })) {
    const { properties = {} } = name === "file" ? schema : (definitions[name] ?? {});
    assert.deepEqual(
      Object.keys(properties).toSorted(),
      Object.keys({
        ...kind.shape.shape,
        ...kind.others,
        ...kind.inert,
        ...kind.aliases,
      }).toSorted(),
    );
  }
  assert.deepEqual(definitions["mount"]?.required, ["mountpoint", "origin"]);
});

for (const file of globSync("examples/*/{conf,conf.d/*}", { cwd: ROOT }))
  test(`configurationSchema takes ${file}`, () => {
    assert.equal(findMismatch(schema, values(readFileSync(join(ROOT, file), "utf8"))), undefined);
  });

const vhost = (members: string): string => `{"vhosts": [{${members}}]}`;
const mount = (members: string): string =>
  vhost(`"port": 1, "mounts": [{"mountpoint": "/", "origin": "file:///", ${members}}]`);

const accepted: readonly [what: string, text: string][] = [
  ["numbers in both spellings", vhost('"port": "80", "keepalive_timeout": 5')],
  ["a number by name", '{"=P": 80, "vhosts": [{"port": "${P}"}]}'],
  ["flags in all spellings", vhost('"port": -1, "sts": true, "noipv6": "ON", "ipv6only": 0')],
  [
    "null for a key that is not given",
    '{"global": {"uid": null, "plugin-dir": null}, "vhosts": [{"port": 1, "mounts": null}]}',
  ],
  ["a repeatable key once and as an array", '{"global": {"plugin-dir": ["a", "b"]}}'],
  ["second spellings", vhost('"port": 1, "keepalive-timeout": "1"')],
  ["a key that has no effect", '{"global": {"distribution": "shared"}}'],
  [
    "headers in both forms",
    mount('"headers": [{"A": "1"}]').replace('"port"', '"headers": {"B": 2}, "port"'),
  ],
  [
    "protocols in both forms",
    vhost('"port": 1, "ws-protocols": [{"a": {"x": {"y": 1}}}, {"b": null}]'),
  ],
  ["its own name", '{"$schema": "./portico.schema.json"}'],
];

for (const [what, text] of accepted)
  test(`configurationSchema takes ${what}`, () => {
    assert.equal(findMismatch(schema, values(text)), undefined);
  });

const refused: readonly [what: string, text: string, at: string][] = [
  ["an unknown key", '{"global": {"stop_secs": 1}}', "global.stop_secs"],
  ["a port out of range", vhost('"port": 70000'), "vhosts.0.port"],
  ["a number that is none", vhost('"port": "http"'), "vhosts.0.port"],
  ["a fraction", vhost('"port": 1.5'), "vhosts.0.port"],
  ["a flag that is none", vhost('"port": 1, "sts": "maybe"'), "vhosts.0.sts"],
  [
    "a mount without an origin",
    vhost('"port": 1, "mounts": [{"mountpoint": "/"}]'),
    "vhosts.0.mounts.0",
  ],
  ["vhosts that are no array", '{"vhosts": {}}', "vhosts"],
  ["headers that are text", mount('"headers": "X: 1"'), "vhosts.0.mounts.0.headers"],
];

for (const [what, text, at] of refused)
  test(`configurationSchema refuses ${what}`, async (t) => {
    assert.equal(findMismatch(schema, values(text)), at);
    // So does the reader, or it warns.
    const { errors, remarks } = await load(t, { conf: text });
    assert.ok(errors.length + remarks.length > 0);
  });

test("portico schema prints the schema, or the manual", async () => {
  const json = await runPortico(["schema"]);
  assert.deepEqual(JSON.parse(json.stdout), JSON.parse(JSON.stringify(schema)));
  assert.equal(json.code, 0);
  const markdown = await runPortico(["schema", "--markdown"]);
  assert.equal(markdown.stdout, PAGE);
});
