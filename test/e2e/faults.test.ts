// What goes wrong in and around a worker (its code, its memory, the disk, the process table, the clock) costs at most that worker,
// and the supervisor's own end costs nobody the port.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, utimesSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import test, { type TestContext } from "node:test";
import { needs } from "../helpers/programs.ts";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";
import { fetchOnce } from "../helpers/traffic.ts";
import { connect, exchangeBytes, statusOf } from "../helpers/wire.ts";

const SMALL = Buffer.alloc(1_000, "s");
const LARGE = Buffer.alloc(20 * 1024 * 1024, "l");
const expected = { status: 200, bytes: SMALL.length };
const files = { "public/small": SMALL };
const vhost = {
  name: "localhost",
  port: 0,
  interface: "127.0.0.1",
  mounts: [{ mountpoint: "/", origin: "file://public" }],
};
const LINUX_ONLY = { skip: process.platform !== "linux" && "needs /proc" };
const DEATH = [/^Worker died/];
const FIRST_DELAY_MS = 50;
const DAY_MS = 86_400_000;

async function servingPids(portico: Portico): Promise<number[]> {
  const { workers } = await portico.status();
  return workers.filter(({ state }) => state === "serving").map(({ pid }) => pid);
}

/** A server whose "/plugin" is answered by this code; `request` is what its protocol does. */
function withPlugin(t: TestContext, request: string, expect: readonly RegExp[]): Promise<Portico> {
  return startPortico(t, {
    conf: {
      global: { "plugin-dir": "plugins" },
      vhosts: [
        {
          ...vhost,
          mounts: [...vhost.mounts, { mountpoint: "/plugin", origin: "callback://trouble" }],
          "ws-protocols": [{ trouble: {} }],
        },
      ],
    },
    files: {
      ...files,
      "plugins/trouble.mjs": `import { EventEmitter } from "node:events";
export default { name: "trouble", start: () => ({ request(exchange) { ${request} } }) };`,
    },
    workers: 1,
    expect,
  });
}

for (const [what, code] of [
  ["an exception that nobody caught", 'setImmediate(() => { throw new Error("plugin bug"); });'],
  [
    "a promise rejected that nobody waits for",
    'setImmediate(() => void Promise.reject(new Error("plugin bug")));',
  ],
  [
    '"error" emitted to nobody',
    'setImmediate(() => new EventEmitter().emit("error", new Error("plugin bug")));',
  ],
] as const)
  test(`${what} costs its worker, not the server`, async (t) => {
    const portico = await withPlugin(t, `${code} exchange.send(200, [], "ok");`, [
      /^Uncaught exception/,
      /^Worker leaves: uncaught exception: plugin bug/,
      ...DEATH,
    ]);
    const [first] = await servingPids(portico);
    await fetchOnce(`${portico.url()}/plugin`, false, { status: 200, bytes: 2 });
    await waitUntil("a replacement", async () => {
      const pids = await servingPids(portico);
      return pids.length === 1 && pids[0] !== first;
    });
    await fetchOnce(`${portico.url()}/small`, false, expected);
  });

test("a worker whose memory runs out is replaced", LINUX_ONLY, async (t) => {
  const prlimit = needs(t, "prlimit", ["prlimit"]);
  if (prlimit === undefined) return;
  const portico = await withPlugin(
    t,
    "const all = []; for (;;) all.push(new Array(1e6).fill(all.length + 0.5));",
    // V8 says much before it gives up, line by line.
    [...DEATH, /^$|^ |^#|^<---|^FATAL ERROR|^-----|^\d+: |JS stacktrace|out of memory|^\[\d+:/],
  );
  const [first = 0] = await servingPids(portico);
  const pages = Number(readFileSync(`/proc/${first}/statm`, "latin1").split(" ")[0]);
  const limit = pages * 4_096 + 64 * 2 ** 20;
  execFileSync(prlimit, ["--pid", String(first), `--as=${limit}:${limit}`]);
  await assert.rejects(fetchOnce(`${portico.url()}/plugin`, false, expected));
  await portico.log(/^Worker died \(SIG(?:ABRT|TRAP|ILL|SEGV)|^Worker died \(exit status 13[34]/);
  await waitUntil("a replacement", async () => {
    const pids = await servingPids(portico);
    return pids.length === 1 && pids[0] !== first;
  });
  await fetchOnce(`${portico.url()}/small`, false, expected);
});

test("workers that die as they start are tried ever more rarely, and health tells", async (t) => {
  const portico = await startPortico(t, {
    conf: {
      global: { "plugin-dir": "plugins" },
      vhosts: [
        {
          ...vhost,
          mounts: [...vhost.mounts, { mountpoint: "/health", origin: "health://" }],
          "ws-protocols": [{ mortal: {} }],
        },
      ],
    },
    files: {
      ...files,
      "plugins/mortal.mjs": `import { existsSync } from "node:fs";
if (existsSync(new URL("../broken", import.meta.url))) process.exit(7);
export default { name: "mortal", start: () => ({}) };`,
    },
    workers: 2,
    expect: DEATH,
  });
  portico.write("broken", "");
  const [victim = 0] = await servingPids(portico);
  process.kill(victim, "SIGKILL");
  const deaths = await waitUntil("four attempts", () => {
    const all = portico.logs.filter(({ msg }) => msg.startsWith("Worker died (exit status 7"));
    return all.length >= 4 && all;
  });
  const times = deaths.map(({ time }) => new Date(time as string | number).getTime());
  // A clock that is only ever late: each wait is twice the one before.
  for (const [index, time] of times.slice(1).entries())
    assert.ok(time - (times[index] ?? 0) >= FIRST_DELAY_MS * 2 ** (index + 1), times.join());
  const health = await fetch(`${portico.url()}/health`, { headers: { connection: "close" } });
  assert.equal(health.status, 503);
  await fetchOnce(`${portico.url()}/small`, false, expected);

  rmSync(join(portico.directory, "broken"));
  await waitUntil("two workers again", async () => (await servingPids(portico)).length === 2);
});

test("a server whose supervisor was killed can be started again at once", LINUX_ONLY, async (t) => {
  const first = await startPortico(t, {
    conf: { global: { "stop-secs": 1 }, vhosts: [vhost] },
    files,
    workers: 2,
    expect: [/^The supervisor is gone/],
  });
  const port = first.port();
  const idle = net.connect(port, "127.0.0.1");
  t.after(() => idle.destroy());
  idle.on("error", () => {});
  await once(idle, "connect");
  first.signal("SIGKILL");
  await once(first.process, "exit");
  const second = await startPortico(t, {
    conf: { vhosts: [{ ...vhost, port }] },
    files,
    workers: 2,
  });
  await fetchOnce(`${second.url()}/small`, false, expected);
});

test("SIGTERM right behind SIGHUP ends the server, with nothing left", LINUX_ONLY, async (t) => {
  const portico = await startPortico(t, { conf: { vhosts: [vhost] }, files, workers: 2 });
  const pids = await servingPids(portico);
  portico.signal("SIGHUP");
  assert.equal(await portico.stop(), 0);
  await waitUntil("the workers to end", () => pids.every((pid) => !existsSync(`/proc/${pid}`)));
});

test(
  "where no process can be started a program is 503, and files are served",
  { skip: process.getuid?.() !== 0 && "needs root" },
  async (t) => {
    const prlimit = needs(t, "prlimit", ["prlimit"]);
    if (prlimit === undefined) return;
    const portico = await startPortico(t, {
      conf: {
        // Root has no such limit.
        global: { username: "nobody" },
        vhosts: [
          { ...vhost, mounts: [...vhost.mounts, { mountpoint: "/run", origin: "cgi://run.cgi" }] },
        ],
      },
      files: { ...files, "run.cgi": "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nfine\\n'\n" },
      workers: 1,
      expect: [/^Cannot start .*EAGAIN/],
    });
    const run = "GET /run HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert.equal(statusOf(await exchangeBytes(portico.port(), run)), 200);
    const [worker] = await servingPids(portico);
    // As the worker's user: root without all its powers may not.
    const status = readFileSync(`/proc/${worker}/status`, "latin1");
    const idOf = (field: string): number =>
      Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1]);
    const user = { uid: idOf("Uid"), gid: idOf("Gid") };
    const limit = (soft: string): Buffer =>
      execFileSync(prlimit, ["--pid", String(worker), `--nproc=${soft}:`], user);
    const limits = readFileSync(`/proc/${worker}/limits`, "latin1");
    const before = /^Max processes +(\S+)/m.exec(limits)?.[1] ?? "";
    limit("1");
    const busy = await exchangeBytes(portico.port(), run);
    assert.equal(statusOf(busy), 503, busy);
    await fetchOnce(`${portico.url()}/small`, false, expected);
    limit(before);
    assert.equal(statusOf(await exchangeBytes(portico.port(), run)), 200);
  },
);

const LONG_AGO_SECS = 1_700_000_000;

test("a disk that cannot be read cuts the answer, and others are served", LINUX_ONLY, async (t) => {
  const strace = needs(t, "strace", ["strace"]);
  if (strace === undefined) return;
  const portico = await startPortico(t, {
    conf: { vhosts: [vhost] },
    files: { ...files, "public/large": LARGE },
    workers: 1,
    expect: [/^A request failed/],
  });
  // A file that was written a moment ago is not kept in memory.
  utimesSync(join(portico.directory, "public/small"), LONG_AGO_SECS, LONG_AGO_SECS);
  await fetchOnce(`${portico.url()}/small`, false, expected);
  const [worker] = await servingPids(portico);
  const calls = "pread64,preadv,preadv2,sendfile";
  const tracer = spawn(
    strace,
    ["-f", "-p", String(worker), "-e", `trace=${calls}`, "-e", `inject=${calls}:error=EIO`],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  t.after(() => tracer.kill("SIGINT"));
  const said: string[] = [];
  createInterface({ input: tracer.stderr }).on("line", (line) => said.push(line));
  await waitUntil("strace", () => said.some((line) => line.includes("attached")));
  const get = "GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  const received = await exchangeBytes(portico.port(), get).catch(() => "");
  assert.ok(received.length < LARGE.length, `${received.length} bytes came`);
  assert.ok(
    said.some((line) => line.includes("(INJECTED)")),
    said.join("\n"),
  );
  // From memory.
  await fetchOnce(`${portico.url()}/small`, false, expected);
  tracer.kill("SIGINT");
  await once(tracer, "exit");
  await fetchOnce(`${portico.url()}/large`, false, { status: 200, bytes: LARGE.length });
  assert.deepEqual(await servingPids(portico), [worker]);
});

test("a clock that jumps a day, back and forth, cuts nobody", async (t) => {
  const portico = await withPlugin(
    t,
    `const days = Number(exchange.target.split("?")[1]);
     const Real = globalThis.realDate ??= Date;
     globalThis.Date = class extends Real {
       constructor(...args) { super(...(args.length > 0 ? args : [Real.now() + days * ${DAY_MS}])); }
       static now() { return Real.now() + days * ${DAY_MS}; }
     };
     exchange.send(200, [], "ok");`,
    [],
  );
  const wire = await connect(portico.port());
  t.after(() => wire.socket.destroy());
  const slow = await connect(portico.port());
  t.after(() => slow.socket.destroy());
  slow.write("GET /small HTTP/1.1\r\nHost: local");
  let asked = 0;
  const ask = async (target: string): Promise<ReadonlyMap<string, string> | undefined> => {
    wire.write(`GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    asked += 1;
    const reply = (await wire.replies(asked)).at(-1);
    assert.equal(reply?.status, 200);
    return reply?.headers;
  };
  const [before] = await servingPids(portico);
  for (const days of [1, -1, 0]) {
    // Elsewhere: Node's own parser, which a connection that asked a plugin stays with, has a Date that nobody can replace.
    await fetchOnce(`${portico.url()}/plugin?${days}`, false, { status: 200, bytes: 2 });
    // The Date of answers is made anew every second.
    await waitUntil(`the date in ${days} days`, async () => {
      const date = (await ask("/small"))?.get("date") ?? "";
      return Math.abs(Date.parse(date) - Date.now() - days * DAY_MS) < DAY_MS / 2;
    });
  }
  slow.write("host\r\n\r\n");
  assert.equal((await slow.replies(1))[0]?.status, 200);
  const [after] = await servingPids(portico);
  assert.equal(after, before);
});
