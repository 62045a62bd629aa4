import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { ProtocolConfig } from "../../config/protocol.ts";
import { protocolShape } from "../../config/protocol.ts";
import { integer, object, string } from "../../config/shape.ts";
import { vhostShape, type VhostConfig } from "../../config/vhost.ts";
import { createLogger } from "../../log/logger.ts";
import { loadPlugins, startProtocols, type LoadedPlugins } from "../../worker/plugin-loader.ts";
import { createStoreClient } from "../../worker/store.ts";
import {
  defineProtocol,
  type ProtocolContext,
  type ProtocolDefinition,
} from "../../worker/protocol.ts";

const BUNDLED = fileURLToPath(new URL("../../plugins", import.meta.url));
const bundledNames = readdirSync(BUNDLED)
  .map((file) => basename(file, ".ts"))
  .toSorted();

function pluginDirectory(t: TestContext, files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), "portico-plugins-"));
  t.after(() => rmSync(directory, { recursive: true }));
  // As a plugin's own project would say it.
  writeFileSync(join(directory, "package.json"), '{"type":"module"}');
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return directory;
}

const plugin = (name: string) => `export default { name: "${name}", start: () => ({}) };`;

suite("loadPlugins", () => {
  test("finds each bundled plugin by the name of its file", async () => {
    assert.ok(bundledNames.length >= 5);
    const loaded = await loadPlugins({ directories: [], wanted: new Set(bundledNames) });
    assert.deepEqual(loaded.problems, []);
    assert.deepEqual([...loaded.protocols.keys()], bundledNames);
    assert.deepEqual(loaded.known, bundledNames);
  });

  test("loads only the bundled plugins that are wanted", async () => {
    const loaded = await loadPlugins({
      directories: [],
      wanted: new Set(["lws-status", "nobody-has-this"]),
    });
    assert.deepEqual([...loaded.protocols.keys()], ["lws-status"]);
    assert.deepEqual(loaded.known, bundledNames);
  });

  test("loads every plugin of a directory, whatever it is written in", async (t) => {
    const directory = pluginDirectory(t, {
      "a.ts": "const name: string = 'in-ts'; export default { name, start: () => ({}) };",
      "b.mts": plugin("in-mts"),
      "c.js": plugin("in-js"),
      "d.mjs": plugin("in-mjs"),
      "e.d.ts": "export default 1;",
      "f.txt": "not a plugin",
    });
    const loaded = await loadPlugins({ directories: [directory], wanted: new Set() });
    assert.deepEqual(loaded.problems, []);
    assert.deepEqual([...loaded.protocols.keys()], ["in-ts", "in-mts", "in-js", "in-mjs"]);
  });

  const flawed: Readonly<Record<string, readonly [text: string, message: RegExp]>> = {
    "throws.js": ["throw new Error('No luck today')", /^Cannot load the plugin: No luck today$/],
    "syntax.js": ["export default {", /^Cannot load the plugin: /],
    "nothing.js": ["export const a = 1;", /^Expected a default export/],
    "class.js": ["export default class {}", /^Expected a default export/],
    "unnamed.js": ["export default { start() {} }", /^Expected a protocol name .*, got undefined$/],
    "spaced.js": [
      "export default { name: 'a b', start() {} }",
      /^Expected a protocol name .*, got "a b"$/,
    ],
    "inert.js": ["export default { name: 'inert' }", /^Protocol "inert" has no start\(\)$/],
    "shapeless.js": ["export default { name: 'x', start() {}, options: {} }", /are not a shape$/],
    "sized.js": [
      "export default { name: 'x', start() {}, maxMessageBytes: -1 }",
      /^maxMessageBytes/,
    ],
  };
  test("names the file of each plugin that is none, and loads the others", async (t) => {
    const texts = Object.entries(flawed).map(([file, [text]]) => [file, text] as const);
    const directory = pluginDirectory(t, {
      ...Object.fromEntries(texts),
      "z-fine.js": plugin("fine"),
    });
    const loaded = await loadPlugins({ directories: [directory], wanted: new Set() });
    assert.deepEqual([...loaded.protocols.keys()], ["fine"]);
    const messages = new Map(loaded.problems.map(({ file, message }) => [basename(file), message]));
    assert.equal(messages.size, texts.length);
    for (const [file, [, message]] of Object.entries(flawed))
      assert.match(messages.get(file) ?? "", message, file);
  });

  test("refuses a name that is taken, also by a bundled plugin nobody wants", async (t) => {
    const directory = pluginDirectory(t, {
      "a.js": plugin("twin"),
      "b.js": plugin("twin"),
      "c.js": plugin("lws-status"),
    });
    const loaded = await loadPlugins({ directories: [directory, directory], wanted: new Set() });
    assert.deepEqual([...loaded.protocols.keys()], ["twin"]);
    assert.deepEqual(loaded.problems, [
      {
        file: join(directory, "b.js"),
        message: `Protocol "twin" is already given by ${join(directory, "a.js")}`,
      },
      {
        file: join(directory, "c.js"),
        message: `Protocol "lws-status" is already given by ${join(BUNDLED, "lws-status.ts")}`,
      },
    ]);
  });

  test("loads npm packages and files that a protocol names, from the configuration directory", async (t) => {
    const base = pluginDirectory(t, { "own.ts": plugin("own") });
    const home = join(base, "node_modules", "portico-plugin-chat");
    mkdirSync(home, { recursive: true });
    const manifest = { name: "portico-plugin-chat", type: "module", exports: "./main.js" };
    writeFileSync(join(home, "package.json"), JSON.stringify(manifest));
    writeFileSync(join(home, "main.js"), plugin("chat"));
    const loaded = await loadPlugins({
      directories: [],
      wanted: new Set(["chat", "own"]),
      packages: ["portico-plugin-chat", "./own.ts", "portico-plugin-chat", "nobody-made-this"],
      base,
    });
    assert.deepEqual([...loaded.protocols.keys()].toSorted(), ["chat", "own"]);
    assert.deepEqual(loaded.problems, [
      {
        file: "nobody-made-this",
        message: "Cannot find the plugin: Cannot find module 'nobody-made-this'",
      },
    ]);
  });

  test("tells of a directory that is not there", async () => {
    const loaded = await loadPlugins({ directories: ["/nowhere/plugins"], wanted: new Set() });
    assert.equal(loaded.problems.length, 1);
    assert.equal(loaded.problems[0]?.file, "/nowhere/plugins");
    assert.match(loaded.problems[0].message, /ENOENT/);
  });
});

type Enabled = Pick<ProtocolConfig, "name"> & Partial<ProtocolConfig>;

function vhostWith(...enabled: readonly Enabled[]): VhostConfig {
  return {
    ...vhostShape.parse({ name: "localhost", port: 0 }),
    mounts: [],
    "ws-protocols": enabled.map(protocolConfig),
    where: { file: "conf.d/localhost", path: "vhosts[0]" },
  };
}

function protocolConfig(enabled: Enabled): ProtocolConfig {
  const path = `ws-protocols[0].${enabled.name}`;
  return { keys: protocolShape.parse({}), options: {}, isDefault: false, path, ...enabled };
}

async function startOn(vhost: VhostConfig, ...definitions: readonly ProtocolDefinition[]) {
  const protocols = new Map(definitions.map((definition) => [definition.name, definition]));
  const plugins: LoadedPlugins = { protocols, known: [...protocols.keys()], problems: [] };
  const log = await createLogger({ name: "test", level: "silent" });
  const contextOf = (name: string): ProtocolContext => ({
    vhost: { name, port: 0, secure: false },
    directory: "/",
    version: "1",
    worker: 1,
    log,
    count: () => {},
    bus: {
      publish: () => {},
      subscribe: () => () => {},
      onDeparture: () => () => {},
      onArrival: () => () => {},
    },
    store: createStoreClient({ send: () => true }).scoped("test"),
    watchBoard: () => () => {},
    readHistory: () => Promise.reject(new Error("No history in this test")),
    every: () => () => {},
  });
  const refusals: Record<string, string> = {};
  const hosts = startProtocols(vhost, plugins, contextOf, (path, message) => {
    refusals[path] = message;
  });
  return { hosts, refusals };
}

suite("startProtocols", () => {
  const started: unknown[] = [];
  const sized = defineProtocol({
    name: "sized",
    options: object({ size: integer({ min: 1 }).default(3), label: string().optional() }),
    start(context, options) {
      started.push([context.vhost.name, options]);
      return {};
    },
  });
  const plain = defineProtocol({ name: "plain", start: () => ({}) });

  test("starts what a vhost enables, with its options decoded", async () => {
    const vhost = vhostWith(
      { name: "sized", options: { size: "12" } },
      { name: "plain", isDefault: true },
    );
    const { hosts, refusals } = await startOn(vhost, sized, plain);
    assert.deepEqual(refusals, {});
    assert.deepEqual(started, [["sized", { size: 12 }]]);
    assert.equal(hosts.get("sized")?.isDefault, false);
    assert.equal(hosts.get("plain")?.isDefault, true);
    assert.equal(hosts.get("plain")?.definition, plain);
  });

  test("refuses each option that does not fit, by its path", async () => {
    const vhost = vhostWith(
      { name: "sized", options: { size: "none", colour: "blue" } },
      { name: "plain", options: { anything: "1" } },
    );
    const { hosts, refusals } = await startOn(vhost, sized, plain);
    assert.deepEqual(refusals, {
      "ws-protocols[0].sized.size": 'Expected a whole number of at least 1, got "none"',
      "ws-protocols[0].sized.colour": 'Unknown option "colour"',
      "ws-protocols[0].plain.anything": 'Protocol "plain" takes no option "anything"',
    });
    assert.equal(hosts.size, 0);
  });

  test("refuses a protocol nobody serves, and one that is enabled twice", async () => {
    const vhost = vhostWith(
      { name: "plain" },
      { name: "plan", path: "a" },
      { name: "plain", path: "b" },
    );
    const { hosts, refusals } = await startOn(vhost, plain, sized);
    assert.deepEqual(refusals, {
      a: 'No plugin serves protocol "plan", known are plain, sized; did you mean "plain"?',
      b: 'Protocol "plain" is enabled twice on this vhost',
    });
    assert.deepEqual([...hosts.keys()], ["plain"]);
  });

  test("refuses a plugin that does not start", async (t) => {
    const directory = pluginDirectory(t, {
      "a.js": "export default { name: 'thrower', start() { throw new Error('No such file'); } };",
      "b.js": "export default { name: 'late', async start() { throw new Error('Too late'); } };",
      "c.js": "export default { name: 'empty', start() {} };",
    });
    const { protocols } = await loadPlugins({ directories: [directory], wanted: new Set() });
    const vhost = vhostWith({ name: "thrower" }, { name: "late" }, { name: "empty" });
    const { hosts, refusals } = await startOn(vhost, ...protocols.values());
    assert.deepEqual(refusals, {
      "ws-protocols[0].thrower": 'Protocol "thrower" did not start: No such file',
      "ws-protocols[0].late": 'Protocol "late" did not start: start() has to return its hooks',
      "ws-protocols[0].empty": 'Protocol "empty" did not start: start() has to return its hooks',
    });
    assert.equal(hosts.size, 0);
  });
});
