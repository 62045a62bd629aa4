import assert from "node:assert/strict";
import { once } from "node:events";
import { execFileSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import net from "node:net";
import test from "node:test";
import { needs } from "../helpers/programs.ts";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";
import { fetchOnce, freshConnections, keptConnections } from "../helpers/traffic.ts";

const ROUNDS = 8;
const SMALL = Buffer.alloc(1_000, "s");
const expected = { status: 200, bytes: SMALL.length };
const files = { "public/small": SMALL };
const vhost = {
  name: "localhost",
  port: 0,
  mounts: [{ mountpoint: "/", origin: "file://public" }],
};
const LINUX_ONLY = { skip: process.platform !== "linux" && "needs /proc" };
const DEATH = [/^Worker died/];

async function servingPids(portico: Portico): Promise<number[]> {
  const { workers } = await portico.status();
  return workers.filter((worker) => worker.state === "serving").map((worker) => worker.pid);
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

test(
  "kill -9 and SIGSTOP of workers in a loop under load: nobody is refused, totals never go back",
  { skip: process.platform !== "linux" && "needs /proc" },
  async (t) => {
    const portico = await startPortico(t, {
      conf: { global: { "watchdog-secs": 2 }, vhosts: [vhost] },
      files,
      workers: 2,
      expect: DEATH,
    });
    const fresh = freshConnections(`${portico.url()}/small`, 4, expected);
    const kept = keptConnections(`${portico.url()}/small`, 4, expected);
    let previous = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const pids = await waitUntil("two serving workers", async () => {
        const found = await servingPids(portico);
        return found.length === 2 && found;
      });
      // One that is only stopped holds its connections until the watchdog ends it.
      process.kill(pids[round % 2] ?? 0, round % 4 === 3 ? "SIGSTOP" : "SIGKILL");
      await waitUntil(
        "the death to be known",
        async () => !(await servingPids(portico)).includes(pids[round % 2] ?? 0),
      );
      const { totals } = await portico.status();
      assert.ok(
        totals.requests >= previous,
        `totals went back from ${previous} to ${totals.requests}`,
      );
      previous = totals.requests;
    }
    const results = await Promise.all([fresh.stop(), kept.stop()]);
    const failures = results.flatMap((result) => result.failures);
    assert.deepEqual(
      failures.filter((failure) => /REFUSED|TIMEDOUT/.test(failure)),
      [],
    );
    // Each of the eight clients has at most one request in flight on the worker that dies.
    assert.ok(failures.length <= ROUNDS * 8, failures.join("; "));
    const board = await portico.status();
    assert.equal(board.restarts, ROUNDS);
    assert.ok(board.samplesLost <= ROUNDS);
    t.diagnostic(
      `answered ${results.map((result) => result.answered).join(" + ")}, lost in flight ${failures.length}`,
    );
  },
);

test(
  "a worker stopped with SIGSTOP is killed by the watchdog while the others serve",
  { skip: process.platform !== "linux" && "needs /proc" },
  async (t) => {
    const portico = await startPortico(t, {
      conf: { global: { "watchdog-secs": 2 }, vhosts: [vhost] },
      files,
      workers: 2,
      expect: DEATH,
    });
    const [victim = 0] = await servingPids(portico);
    process.kill(victim, "SIGSTOP");
    for (let n = 0; n < 50; n += 1) await fetchOnce(`${portico.url()}/small`, false, expected);
    await portico.log(/^Worker died \(SIGKILL, silent for/);
    await waitUntil("a replacement", async () => (await servingPids(portico)).length === 2);
    assert.equal(isAlive(victim), false);
  },
);

test(
  "a worker that is killed while it drains is told of, and nobody takes its place",
  LINUX_ONLY,
  async (t) => {
    const portico = await startPortico(t, {
      conf: { vhosts: [vhost] },
      files,
      workers: 1,
      expect: DEATH,
    });
    const [victim = 0] = await servingPids(portico);
    // In the middle of its request, so that the worker has something to finish.
    const held = net.connect(portico.port(), "127.0.0.1");
    t.after(() => held.destroy());
    held.on("error", () => {});
    held.write("GET /small HTTP/1.1\r\nHost: local");
    await waitUntil("the connection", async () => {
      const { workers } = await portico.status();
      return workers[0]?.gauges.openConnections === 1;
    });
    assert.equal((await portico.control("reload")).ok, true);
    process.kill(victim, "SIGKILL");
    await portico.log(/^Worker died \(SIGKILL\) while it finished/);
    const { restarts, workers } = await portico.status();
    assert.deepEqual([restarts, workers.length], [0, 1]);
  },
);

test("an endless loop in a plugin is found, killed and replaced", async (t) => {
  const plugin = `export default {
    name: "looper",
    start: () => ({ request() { for (;;); } }),
  };`;
  const portico = await startPortico(t, {
    conf: {
      global: { "watchdog-secs": 2, "plugin-dir": "plugins" },
      vhosts: [
        {
          ...vhost,
          mounts: [...vhost.mounts, { mountpoint: "/loop", origin: "callback://looper" }],
          "ws-protocols": [{ looper: {} }],
        },
      ],
    },
    files: { ...files, "plugins/looper.mjs": plugin },
    workers: 2,
    expect: DEATH,
  });
  await assert.rejects(fetchOnce(`${portico.url()}/loop`, false, expected));
  const death =
    /^Worker died \(SIGKILL, silent for \d+ s in the protocol "looper" of vhost localhost:0\)/;
  await portico.log(death);
  await fetchOnce(`${portico.url()}/small`, false, expected);
});

test(
  "workers end when their supervisor is killed",
  { skip: process.platform !== "linux" && "needs /proc" },
  async (t) => {
    const portico = await startPortico(t, {
      conf: { global: { "stop-secs": 1 }, vhosts: [vhost] },
      files,
      workers: 2,
      expect: [/^The supervisor is gone/],
    });
    const pids = (await portico.status()).workers.map((worker) => worker.pid);
    // A connection that stays open does not keep them.
    const idle = net.connect(portico.port(), "127.0.0.1");
    idle.on("error", () => {});
    await once(idle, "connect");
    portico.signal("SIGKILL");
    await waitUntil("the workers to end", () => pids.every((pid) => !isAlive(pid)));
    idle.destroy();
  },
);

test(
  "CGI children of a worker that was killed are killed and reaped",
  { skip: process.platform !== "linux" && "needs /proc" },
  async (t) => {
    const portico = await startPortico(t, {
      conf: {
        vhosts: [
          {
            ...vhost,
            mounts: [{ mountpoint: "/slow", origin: "cgi://slow.cgi", "cgi-timeout": 60 }],
          },
        ],
      },
      files: {
        "slow.cgi": "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s\\n' $$\nexec sleep 600\n",
      },
      workers: 1,
      expect: [...DEATH, /^Killed 1 CGI process group/],
    });
    const socket = net.connect(portico.port(), "127.0.0.1");
    socket.on("error", () => {});
    socket.write("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let received = "";
    socket.on("data", (chunk) => (received += chunk.toString()));
    const pid = await waitUntil(
      "the CGI to tell its pid",
      () => Number(/\r\n(\d+)\n/.exec(received)?.[1]) || undefined,
    );
    assert.ok(isAlive(pid));
    const [worker = 0] = await servingPids(portico);
    process.kill(worker, "SIGKILL");
    await waitUntil("the CGI to be gone", () => !isAlive(pid));
    socket.destroy();
  },
);

test(
  "a replacement that hangs while it starts is killed and tried again",
  LINUX_ONLY,
  async (t) => {
    const plugin = `import { existsSync } from "node:fs";
if (existsSync(new URL("../hang", import.meta.url))) await new Promise(() => setInterval(() => {}, 60_000));
export default { name: "hanger", start: () => ({}) };`;
    const portico = await startPortico(t, {
      conf: {
        global: { "ready-secs": 6, "plugin-dir": "plugins" },
        vhosts: [{ ...vhost, "ws-protocols": [{ hanger: {} }] }],
      },
      files: { ...files, "plugins/hanger.mjs": plugin },
      workers: 1,
      expect: DEATH,
    });
    const [first = 0] = await servingPids(portico);
    portico.write("hang", "");
    process.kill(first, "SIGKILL");
    await portico.log(/^Worker died \(SIGKILL, did not serve within ready-secs/);
    rmSync(join(portico.directory, "hang"));
    await waitUntil("a worker that serves", async () => (await servingPids(portico)).length === 1);
    await fetchOnce(`${portico.url()}/small`, false, expected);
  },
);

test(
  "a supervisor without descriptors for a new worker serves on and tries again",
  LINUX_ONLY,
  async (t) => {
    const prlimit = needs(t, "prlimit", ["prlimit"]);
    if (!prlimit) return;
    const portico = await startPortico(t, {
      conf: { vhosts: [vhost] },
      files,
      workers: 2,
      expect: [...DEATH, /^Control/],
    });
    const [victim = 0] = await servingPids(portico);
    const limit = (soft: string): Buffer =>
      execFileSync(prlimit, ["--pid", String(portico.pid), `--nofile=${soft}:`]);
    limit("12");
    process.kill(victim, "SIGKILL");
    await portico.log(/^Worker died \(cannot start: .*EMFILE/);
    await fetchOnce(`${portico.url()}/small`, false, expected);
    limit("1024");
    await waitUntil("a replacement", async () => (await servingPids(portico)).length === 2);
  },
);
