// drain, restart and scale under load: no request is lost, and a worker that leaves finishes what it has.

import assert from "node:assert/strict";
import test from "node:test";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";
import { WHO_PLUGIN, WHO_VHOST } from "../helpers/who-plugin.ts";
import { connect, exchangeBytes, statusOf } from "../helpers/wire.ts";

const vhost = {
  name: "a.test",
  port: 0,
  interface: "127.0.0.1",
  mounts: [
    { mountpoint: "/", origin: "file://public" },
    { mountpoint: "/slow", origin: "cgi://slow.cgi" },
    { mountpoint: "/health", origin: "health://" },
  ],
};
const files = {
  "public/index.html": "hello",
  "slow.cgi": "#!/bin/sh\nread line\nprintf 'Content-Type: text/plain\\n\\n%s' \"$line\"\n",
};
const LAST = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";

/** Asks without a pause until it is told to end; what came of it. */
function keepAsking(portico: Portico): { end(): Promise<{ count: number; failed: string[] }> } {
  const failed: string[] = [];
  let count = 0;
  let state: "asking" | "ended" = "asking";
  async function ask(): Promise<void> {
    while (state === "asking") {
      const answer = await exchangeBytes(portico.port(), LAST).catch(String);
      count += 1;
      if (statusOf(answer) !== 200) failed.push(answer);
    }
  }
  const all = Promise.all([ask(), ask(), ask()]);
  return {
    async end() {
      state = "ended";
      await all;
      return { count, failed };
    },
  };
}

async function pids(portico: Portico): Promise<number[]> {
  const { workers } = await portico.status();
  return workers.filter(({ state }) => state === "serving").map(({ pid }) => pid);
}

test("drain replaces one worker, which finishes the request it has", async (t) => {
  const portico = await startPortico(t, { conf: { vhosts: [vhost] }, files, workers: 1 });
  const [before] = await pids(portico);
  const wire = await connect(portico.port());
  wire.write("POST /slow HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\nhel");
  await waitUntil("it to run", async () => {
    const { workers } = await portico.status();
    return workers.some(({ gauges }) => gauges.activeRequests > 0);
  });
  const asking = keepAsking(portico);
  const answer = await portico.control("drain", 1);
  assert.deepEqual(answer, {
    ok: true,
    message: "Worker 1 finishes what it has; another serves in its place",
  });
  const [after] = await pids(portico);
  assert.notEqual(after, before);
  wire.write("lo\n");
  const [reply] = await wire.replies(1);
  assert.deepEqual([reply?.status, reply?.body], [200, "hello"]);
  const { count, failed } = await asking.end();
  assert.deepEqual(failed, []);
  assert.ok(count > 0);
  await waitUntil("it to be gone", async () => (await portico.status()).workers.length === 1);
  assert.equal((await portico.status()).restarts, 0);
});

test("restart replaces all workers; scale adds and drains some; a reload keeps the number", async (t) => {
  const portico = await startPortico(t, { conf: { vhosts: [vhost] }, files, workers: 2 });
  const first = await pids(portico);
  const asking = keepAsking(portico);
  assert.deepEqual(await portico.control("restart"), { ok: true, message: "Replaced 2 workers" });
  const second = await pids(portico);
  assert.equal(second.length, 2);
  assert.deepEqual(
    second.filter((pid) => first.includes(pid)),
    [],
  );
  const more = await portico.control("scale", 3);
  assert.deepEqual(more, { ok: true, message: "Serving with 3 workers" });
  assert.equal((await pids(portico)).length, 3);
  await waitUntil("health", async () => (await fetch(`${portico.url()}/health`)).status === 200);
  assert.equal((await portico.control("reload")).ok, true);
  assert.equal((await pids(portico)).length, 3);
  assert.equal((await portico.control("scale", 1)).ok, true);
  assert.equal((await pids(portico)).length, 1);
  const { count, failed } = await asking.end();
  assert.deepEqual(failed, []);
  assert.ok(count > 0);
  await waitUntil("all to be counted", async () => {
    const { totals } = await portico.status();
    return totals.status2xx >= count;
  });
});

test("drain and scale refuse what there is not, and change nothing", async (t) => {
  const portico = await startPortico(t, {
    conf: { vhosts: [vhost] },
    files,
    workers: 1,
    expect: [/^Cannot drain: No worker 5 serves/],
  });
  const before = await pids(portico);
  assert.deepEqual(await portico.control("drain", 5), {
    ok: false,
    message: 'No worker 5 serves; "portico status" shows their numbers',
  });
  for (const count of [0, -1, 1.5, 1025, Number.NaN])
    assert.deepEqual(await portico.control("scale", count), {
      ok: false,
      message: '"scale" takes a whole number from 1 to 1024',
    });
  assert.equal((await portico.control("restart", 3)).message, '"restart" takes no argument');
  assert.deepEqual(await pids(portico), before);
});

test("restart changes nothing where a new worker cannot serve", async (t) => {
  const portico = await startPortico(t, {
    conf: { global: { "plugin-dir": "plugins" }, vhosts: [WHO_VHOST] },
    files: { "plugins/who.mjs": WHO_PLUGIN },
    workers: 2,
    expect: [/^Cannot (?:restart|scale): A new worker ended before it served/],
  });
  const before = await pids(portico);
  portico.write("plugins/who.mjs", 'throw new Error("broken");');
  const answer = await portico.control("restart");
  assert.equal(answer.ok, false);
  assert.match(answer.message, /^A new worker ended before it served .*who\.mjs: .*broken/);
  assert.equal((await portico.control("scale", 3)).ok, false);
  await waitUntil("those to be gone", async () => (await portico.status()).workers.length === 2);
  assert.deepEqual(await pids(portico), before);
  assert.equal((await fetch(portico.url())).status, 200);
});
