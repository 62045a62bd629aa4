import assert from "node:assert/strict";
import { execFileSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { runPortico, startPortico, waitUntil } from "../helpers/server.ts";

/** A plugin that is not loaded before somebody writes into the FIFO "gate". */
const GATED_PLUGIN = `import { readFile } from "node:fs/promises";
await readFile(new URL("../gate", import.meta.url));
export default { name: "gated", start: () => ({}) };
`;
const conf = {
  global: { "plugin-dir": "plugins" },
  vhosts: [{ name: "localhost", port: 0, mounts: [], "ws-protocols": [{ gated: {} }] }],
};
const files = { "plugins/gated.mjs": GATED_PLUGIN };

/** Does `action` while the worker is still loading its plugin, then lets it go on. */
function whileStarting(action: (child: ChildProcess) => Promise<void> | void, release: boolean) {
  return async (child: ChildProcess, directory: string): Promise<void> => {
    const gate = join(directory, "gate");
    execFileSync("mkfifo", [gate]);
    // Opens as soon as the worker reads.
    const handle = await open(gate, "w");
    await action(child);
    if (release) await handle.write("go");
    await handle.close();
  };
}

test("SIGTERM during the start ends with status 0", async (t) => {
  let exited: Promise<unknown[]> | undefined;
  await startPortico(t, {
    conf,
    files,
    workers: 1,
    early: whileStarting(async (child) => {
      exited = once(child, "exit");
      child.kill("SIGTERM");
      await exited;
    }, false),
  });
  assert.deepEqual(await exited, [0, null]);
});

test("SIGHUP during the start is remembered", async (t) => {
  const portico = await startPortico(t, {
    conf,
    files,
    workers: 1,
    early: whileStarting((child) => void child.kill("SIGHUP"), true),
  });
  // The worker of the second generation waits at the gate as well.
  const handle = await open(join(portico.directory, "gate"), "w");
  await handle.write("go");
  await handle.close();
  await waitUntil("generation 2", async () => (await portico.status()).generation === 2);
});

test("a plugin that throws is told with the place of the directory, and nothing serves", async (t) => {
  const portico = await startPortico(t, { conf: { vhosts: [{ name: "a", port: 0 }] }, workers: 1 });
  portico.write(
    "broken/conf",
    JSON.stringify({ ...conf, global: { "plugin-dir": "plugins" } }, undefined, 1),
  );
  portico.write("broken/plugins/gated.mjs", 'throw new Error("cannot live like this");\n');
  const { code, stderr } = await runPortico(["run", "-c", join(portico.directory, "broken")]);
  assert.equal(code, 1);
  assert.match(stderr, /conf:3:\d+ global\.plugin-dir: .*gated\.mjs: .*cannot live like this/);
});

test("a plugin that ends its process at start fails the start, not the machine", async (t) => {
  const portico = await startPortico(t, { conf: { vhosts: [{ name: "a", port: 0 }] }, workers: 1 });
  portico.write("broken/conf", JSON.stringify(conf));
  portico.write("broken/plugins/gated.mjs", "process.exit(3);\n");
  const { code, stderr } = await runPortico(["run", "-c", join(portico.directory, "broken")]);
  assert.equal(code, 1);
  assert.match(stderr, /Worker \d+ ended before it served \(exit status 3\)/);
});
