import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { before, suite, test, type TestContext } from "node:test";
import { promisify } from "node:util";

const ROOT = join(import.meta.dirname, "../..");
const INSTALL = ["install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"];

/** Found by the npm that runs the tests; another Node looks for them elsewhere. */
const NPM_SOURCES = new Set(
  ["userconfig", "globalconfig", "registry", "cache"].map((name) => `npm_config_${name}`),
);

/** Runs a program under this Node. A failure carries what it printed. */
async function run(directory: string, program: string, ...args: string[]): Promise<string> {
  const path = `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`;
  // Inside "npm test" npm would take this project for the other one. Where packages come from stays the same.
  const own = Object.entries(process.env).filter(
    ([name]) => !name.startsWith("npm_") || NPM_SOURCES.has(name),
  );
  const env = { ...Object.fromEntries(own), PATH: path, NODE_TEST_CONTEXT: undefined };
  const { stdout } = await promisify(execFile)(program, args, { cwd: directory, env });
  return stdout;
}

function emptyProject(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "portico-package-"));
  t.after(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, "package.json"), '{"name": "trial", "type": "module"}');
  return directory;
}

suite("The published package", () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    version: string;
  };
  const archive = join(ROOT, `build/portico-${version}.tgz`);
  before(() => run(ROOT, "npm", "run", "package"));

  test("serves in an empty project, from its command line and from a program", async (t) => {
    const directory = emptyProject(t);
    await run(directory, "npm", ...INSTALL, archive);
    const program = `
      import { start } from "portico";
      const vhost = { port: 0, mounts: [{ mountpoint: "/", origin: "file://." }] };
      const server = await start({ vhosts: [{ ...vhost, "ws-protocols": { "lws-status": {} } }] });
      const response = await fetch(server.url() + "/package.json");
      console.log(response.status, (await response.json()).name);
      await server.stop();`;
    writeFileSync(join(directory, "program.mjs"), program);
    assert.equal(await run(directory, process.execPath, "program.mjs"), "200 trial\n");
    const portico = join(directory, "node_modules/.bin/portico");
    assert.equal(await run(directory, portico, "--version"), `${version}\n`);
    await run(directory, portico, "init", "site");
    assert.match(await run(directory, portico, "check", "-c", "site"), /can be served, 1 vhost/);
  });

  test("has types that a plugin of somebody else compiles against, and a plugin that runs", async (t) => {
    const directory = emptyProject(t);
    await run(directory, "npm", ...INSTALL, archive);
    await run(directory, join(directory, "node_modules/.bin/portico"), "init-plugin", "my-chat");
    const plugin = join(directory, "portico-plugin-my-chat");
    await run(plugin, "npm", ...INSTALL, archive);
    await run(plugin, "npm", "run", "types");
    assert.match(await run(plugin, "npm", "test"), /# pass 1|ℹ pass 1/);

    // Published and installed it is JavaScript, and the server finds it by its name.
    await run(plugin, "npm", "pack");
    const site = join(directory, "site");
    mkdirSync(site);
    writeFileSync(join(site, "package.json"), '{"name": "site"}');
    await run(site, "npm", ...INSTALL, join(plugin, "portico-plugin-my-chat-1.0.0.tgz"));
    const protocols = { "my-chat": { plugin: "portico-plugin-my-chat" } };
    const conf = { vhosts: [{ port: 0, mounts: [], "ws-protocols": protocols }] };
    writeFileSync(join(site, "conf"), JSON.stringify(conf));
    const checked = await run(directory, "node_modules/.bin/portico", "check", "-c", "site");
    assert.match(checked, /can be served/);
  });
});
