// What a worker or the whole server may run out of: descriptors, a disk that answers in time, workers. Nobody is refused who
// could be served, and all is as before when there is enough again.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import test from "node:test";
import { certificateMaker } from "../helpers/certificates.ts";
import { needs } from "../helpers/programs.ts";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";
import { fetchOnce, freshConnections } from "../helpers/traffic.ts";
import { connect, exchangeBytes, statusOf, type Wire } from "../helpers/wire.ts";

const SMALL = Buffer.alloc(1_000, "s");
const LARGE_BYTES = 1024 * 1024;
const expected = { status: 200, bytes: SMALL.length };
const files = { "public/small": SMALL };
const vhost = {
  name: "localhost",
  port: 0,
  interface: "127.0.0.1",
  keepalive_timeout: 600,
  mounts: [{ mountpoint: "/", origin: "file://public" }],
};
const LINUX_ONLY = { skip: process.platform !== "linux" && "needs /proc" };
const GET = "GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LAST = GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
const SHORTAGE = /^Cannot accept on |^Cannot open one more file: EMFILE/;
const WORKERS = 3;
const KEPT = 10;
/** Twice the threads of a libuv that nobody has asked for more, and the one whose line strace has not ended yet. */
const SLOW_READERS = 9;

async function servingPids(portico: Portico): Promise<number[]> {
  const { workers } = await portico.status();
  return workers.filter(({ state }) => state === "serving").map(({ pid }) => pid);
}

test(
  "kill -9 of all workers at once: who comes meanwhile waits and is served, and no port is lost",
  LINUX_ONLY,
  async (t) => {
    const portico = await startPortico(t, {
      conf: { vhosts: [vhost] },
      files,
      workers: WORKERS,
      expect: [/^Worker died/],
    });
    const killed = await servingPids(portico);
    const traffic = freshConnections(`${portico.url()}/small`, 4, expected);
    await waitUntil("traffic", () => traffic.answered > 0);
    for (const pid of killed) process.kill(pid, "SIGKILL");
    const waiting = await Promise.all(
      Array.from({ length: 20 }, () =>
        connect(portico.port()).then((wire) => (wire.write(LAST), wire)),
      ),
    );
    for (const wire of waiting) assert.equal(statusOf(await wire.rest()), 200);
    const { failures } = await traffic.stop();
    // What the dead had in hand is lost, no more: one request of each client.
    assert.ok(failures.length <= 4, failures.join("; "));
    for (const failure of failures) assert.match(failure, /ECONNRESET|socket hang up/);
    await waitUntil("as many workers as before", async () => {
      const pids = await servingPids(portico);
      return pids.length === WORKERS && pids.every((pid) => !killed.includes(pid));
    });
    assert.equal((await portico.status()).restarts, WORKERS);
  },
);

for (const isSecure of [false, true])
  test(
    `a worker without a descriptor left closes idle connections and serves on${isSecure ? ", also beside TLS" : ""}`,
    LINUX_ONLY,
    async (t) => {
      const prlimit = needs(t, "prlimit", ["prlimit"]);
      if (prlimit === undefined) return;
      const make = isSecure ? certificateMaker(t) : undefined;
      if (isSecure && !make) return;
      const pair = make?.({ names: ["localhost"] });
      const tls = {
        "host-ssl-cert": "tls/cert",
        "host-ssl-key": "tls/key",
        "allow-http-on-https": true,
      };
      const portico = await startPortico(t, {
        conf: {
          global: { "init-ssl": "1" },
          vhosts: [
            {
              ...vhost,
              "access-log": "access.log",
              ...(pair && tls),
            },
          ],
        },
        files: { ...files, ...(pair && { "tls/cert": pair.cert, "tls/key": pair.key }) },
        workers: 1,
        expect: [SHORTAGE, /^Full: closed idle connections/],
      });
      const [worker = 0] = await servingPids(portico);
      const kept: Wire[] = [];
      for (let n = 0; n < KEPT; n += 1) {
        const wire = await connect(portico.port());
        t.after(() => wire.socket.destroy());
        wire.write(GET);
        await wire.replies(1);
        kept.push(wire);
      }
      const limits = readFileSync(`/proc/${worker}/limits`, "latin1");
      const before = /^Max open files +(\d+)/m.exec(limits)?.[1] ?? "";
      const limit = (soft: string): unknown =>
        execFileSync(prlimit, ["--pid", String(worker), `--nofile=${soft}:`]);
      // The lowest that is free is the first that cannot be had.
      const used = new Set(readdirSync(`/proc/${worker}/fd`).map(Number));
      const free = Array.from({ length: used.size + 1 }, (_, fd) => fd).find((fd) => !used.has(fd));
      limit(String(free));
      await waitUntil("an answer nevertheless", async () => {
        const answer = await exchangeBytes(portico.port(), LAST).catch(() => "");
        return statusOf(answer) === 200;
      });
      await portico.log(SHORTAGE);
      await portico.log(/^Full: closed idle connections/);
      await waitUntil("an idle one to be closed", () =>
        kept.some(({ socket }) => socket.readableEnded || socket.destroyed),
      );
      limit(before);
      assert.equal(statusOf(await exchangeBytes(portico.port(), LAST)), 200);
      assert.deepEqual(await servingPids(portico), [worker]);
      assert.equal(await portico.stop(), 0);
      const log = readFileSync(`${portico.directory}/access.log`, "latin1");
      assert.ok(log.split("\n").length - 1 >= KEPT + 2, log);
    },
  );

test("slow reads from a disk hold up nobody else", LINUX_ONLY, async (t) => {
  const strace = needs(t, "strace", ["strace"]);
  if (strace === undefined) return;
  const portico = await startPortico(t, {
    conf: { vhosts: [vhost] },
    files: { ...files, "public/large": Buffer.alloc(LARGE_BYTES, "l") },
    workers: 1,
  });
  const [worker] = await servingPids(portico);
  // Much longer than the test: it ends when strace does.
  const slowness = "inject=pread64:delay_enter=600000000";
  const tracer = spawn(
    strace,
    ["-f", "-p", String(worker), "-e", "trace=pread64", "-e", slowness],
    {
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  t.after(() => tracer.kill("SIGKILL"));
  const said: string[] = [];
  createInterface({ input: tracer.stderr }).on("line", (line) => said.push(line));
  await waitUntil("strace", () => said.some((line) => line.includes("attached")));

  const slow = await Promise.all(
    Array.from({ length: SLOW_READERS }, () => connect(portico.port())),
  );
  // A file that was written a moment ago is read in a thread.
  for (const wire of slow) wire.write(LAST.replace("small", "large"));
  await waitUntil(
    "the reads to begin",
    () => said.filter((line) => line.includes("pread64(")).length >= SLOW_READERS - 1,
    () => said.join("\n"),
  );
  // Has to look at the disk too.
  const answer = await exchangeBytes(portico.port(), LAST.replace("small", "missing"));
  assert.equal(statusOf(answer), 404);
  for (const { socket } of slow) assert.equal(socket.bytesRead, 0);

  tracer.kill("SIGINT");
  await once(tracer, "exit");
  for (const wire of slow) assert.ok((await wire.rest()).length > LARGE_BYTES);
  await fetchOnce(`${portico.url()}/small`, false, expected);
});
