// `portico status | drain | restart | scale | reload` as they are typed, against a server that runs.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Board } from "../../ipc/board.ts";
import { formatStatus } from "../../bin/format-status.ts";
import { board, worker } from "../helpers/boards.ts";
import { runPortico, startPortico, waitUntil } from "../helpers/server.ts";
import { exchangeBytes } from "../helpers/wire.ts";

const vhost = {
  name: "a.test",
  port: 0,
  interface: "127.0.0.1",
  mounts: [{ mountpoint: "/", origin: "file://public" }],
};
const files = { "public/index.html": "hello" };

test("what the commands are asked for they do, say, and tell by their exit status", async (t) => {
  const portico = await startPortico(t, {
    conf: { vhosts: [vhost] },
    files,
    workers: 1,
    expect: [/^Cannot drain: No worker 1 serves/],
  });
  const run = (...args: readonly string[]) =>
    runPortico([...args, "-c", portico.directory], {
      RUNTIME_DIRECTORY: `${portico.directory}/../run`,
    });
  await exchangeBytes(portico.port(), "rubbish\r\n\r\n");
  await waitUntil("it to be counted", async () => (await portico.status()).totals.requests > 0);
  const told = await run("status");
  assert.deepEqual([told.code, told.stderr], [0, ""]);
  assert.match(told.stdout, /^portico \S+, pid \d+, up .*, generation 1, /);
  assert.match(told.stdout, /^1 +1 +\d+ +serving /m);
  assert.match(told.stdout, /^total +1 +1 /m);
  assert.match(told.stdout, /^rejected +1 malformed$/m);
  assert.equal((JSON.parse((await run("status", "--json")).stdout) as Board).generation, 1);

  const drained = await run("drain", "1");
  assert.deepEqual(drained, {
    code: 0,
    stdout: "Worker 1 finishes what it has; another serves in its place\n",
    stderr: "",
  });
  const nobody = await run("drain", "1");
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr, /^No worker 1 serves/);
  assert.equal((await run("scale", "3")).stdout, "Serving with 3 workers\n");
  assert.equal((await run("restart")).stdout, "Replaced 3 workers\n");
  assert.equal((await run("scale", "1")).code, 0);
  assert.match((await run("reload")).stdout, /^Generation 2 serves/);
  for (const wrong of [["scale", "0"], ["scale", "many"], ["scale"], ["drain", "-1"], ["drain"]])
    assert.equal((await run(...wrong)).code, 1, wrong.join(" "));
  assert.equal((await run("stop")).code, 0);
  const gone = await run("status");
  assert.deepEqual([gone.code, gone.stdout], [1, ""]);
  assert.match(gone.stderr, /^portico: No running portico answers/);
});

suite("formatStatus", () => {
  const whole = board({ at: 100, workers: [worker(1, 0)] });

  test("tells until when a worker may finish, who died, and only what happened", () => {
    const [serving] = whole.workers;
    assert.ok(serving);
    const leaving = { ...serving, id: 2, state: "draining" as const, endsAt: whole.now + 65_000 };
    const text = formatStatus({
      ...whole,
      workers: [serving, leaving],
      restarts: 1,
      deaths: [{ at: whole.now, worker: 7, slot: 0, pid: 99, why: "SIGKILL" }],
      counters: { ...whole.counters, tlsHandshakes: 3, tlsFailed: 1, refusedAddress: 2 },
    });
    assert.match(text, /^2 +1 +2 +draining +1m5s /m);
    assert.match(text, /worker 7, pid 99 +SIGKILL$/m);
    assert.match(text, /^TLS +3 handshakes, 1 failed$/m);
    assert.match(text, /^refused +2 limit per address$/m);
    assert.doesNotMatch(text, /^(?:bus|denied|log)/m);
  });

  test("prints nothing that a terminal would take for more than text", () => {
    const text = formatStatus({
      ...whole,
      vhosts: whole.vhosts.map((one) => ({ ...one, key: "\u001b[2Jevil\n:80" })),
      deaths: [{ at: whole.now, worker: 7, slot: 0, pid: 99, why: "\u001b]0;x\u0007" }],
      restarts: 1,
    });
    // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
    assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f]/);
    assert.match(text, /evil/);
  });
});
