// `portico status --watch` on a real terminal, as script(1) makes one.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import test, { type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { needs } from "../helpers/programs.ts";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";

const LAUNCHER = fileURLToPath(new URL("../../bin/portico.mjs", import.meta.url));
const ENTER = "\u001b[?1049h";
const LEAVE = "\u001b[?25h\u001b[?1049l";

type Watch = { readonly child: ChildProcess; readonly shown: () => string };

function watch(t: TestContext, portico: Portico, script: string): Watch {
  const command = `"${process.execPath}" --disable-sigusr1 "${LAUNCHER}" status --watch -c "${portico.directory}"`;
  const child = spawn(script, ["-qec", command, "/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, RUNTIME_DIRECTORY: `${portico.directory}/../run` },
  });
  t.after(() => child.kill("SIGKILL"));
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  return { child, shown: () => text };
}

for (const [name, key] of [
  ["q", "q"],
  ["Ctrl-C", "\u0003"],
] as const)
  test(`status --watch draws anew and gives the terminal back on ${name}`, async (t) => {
    const script = needs(t, "script", ["script"]);
    if (script === undefined) return;
    const portico = await startPortico(t, {
      conf: { vhosts: [{ name: "a.test", port: 0, interface: "127.0.0.1" }] },
      workers: 1,
    });
    const { child, shown } = watch(t, portico, script);
    const exited = once(child, "exit");
    await waitUntil("a rate, which takes two looks", () => /requests\/s/.test(shown()), shown);
    child.stdin?.write(key);
    assert.equal((await exited)[0], 0);
    assert.ok(shown().startsWith(ENTER), JSON.stringify(shown().slice(0, 80)));
    assert.ok(shown().endsWith(LEAVE), JSON.stringify(shown().slice(-80)));
    assert.match(shown(), /WORKER .*\[K\r+\n1 /);
  });

test("status --watch ends with 1 when the server does, the terminal given back", async (t) => {
  const script = needs(t, "script", ["script"]);
  if (script === undefined) return;
  const portico = await startPortico(t, {
    conf: { vhosts: [{ name: "a.test", port: 0, interface: "127.0.0.1" }] },
    workers: 1,
  });
  const { child, shown } = watch(t, portico, script);
  const exited = once(child, "exit");
  await waitUntil("it to draw", () => shown().includes("WORKER"), shown);
  await portico.stop();
  assert.equal((await exited)[0], 1);
  assert.match(shown(), /\[\?1049l[^]*portico: No running portico answers/);
});
