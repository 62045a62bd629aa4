import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { join } from "node:path";
import test from "node:test";
import { openFiles } from "../helpers/open-files.ts";
import { runPortico, startPortico, waitUntil, type Portico } from "../helpers/server.ts";
import { fetchOnce, freshConnections, keptConnections, slowDownloads } from "../helpers/traffic.ts";

const RELOADS = 50;
const SMALL = Buffer.alloc(1_000, "s");
const LARGE = Buffer.alloc(10 * 1024 * 1024, "l");

const files = { "public/index.html": "<h1>one</h1>", "public/small": SMALL, "public/large": LARGE };

function conf(
  fields: Record<string, unknown> = {},
  vhosts: Record<string, unknown>[] = [],
): { vhosts: unknown[]; global: Record<string, unknown> } {
  return {
    global: { "drain-secs": 30 },
    vhosts: [
      {
        name: "localhost",
        port: 0,
        mounts: [{ mountpoint: "/", origin: "file://public" }],
        ...fields,
      },
      ...vhosts,
    ],
  };
}

/** Reloads by signal and waits until the next generation serves. */
async function reload(portico: Portico): Promise<void> {
  const next = portico.logs.filter((line) => line["event"] === "serving").length + 1;
  portico.signal("SIGHUP");
  await waitUntil(
    `generation ${next}`,
    () => portico.logs.filter((line) => line["event"] === "serving").length >= next,
  );
}

test(
  "50 reloads under load lose nothing: fresh and kept connections, slow 10 MB downloads",
  { timeout: 600_000 },
  async (t) => {
    const portico = await startPortico(t, { conf: conf(), files, workers: 2 });
    const url = portico.url();
    const traffic = [
      freshConnections(`${url}/small`, 4, { status: 200, bytes: SMALL.length }),
      keptConnections(`${url}/small`, 4, { status: 200, bytes: SMALL.length }),
      slowDownloads(`${url}/large`, 3, { status: 200, bytes: LARGE.length }),
    ];
    // Once, for what is opened when it is first needed.
    await reload(portico);
    const before = await settled(portico);
    for (let n = 0; n < RELOADS; n += 1) await reload(portico);
    const results = await Promise.all(traffic.map((each) => each.stop()));
    assert.deepEqual(
      results.flatMap((result) => result.failures),
      [],
    );
    for (const [index, { answered }] of results.entries())
      assert.ok(answered > 10, `client kind ${index} got ${answered} answers`);
    t.diagnostic(
      `answers: fresh ${results[0]?.answered}, kept ${results[1]?.answered}, slow 10 MB ${results[2]?.answered}`,
    );

    const requests = results.reduce((sum, result) => sum + result.answered, 0);
    const board = await waitUntil("the totals to hold every request", async () => {
      const status = await portico.status();
      return status.totals.requests >= requests && status;
    });
    assert.equal(board.totals.requests, requests);
    assert.equal(board.totals.status2xx, requests);
    assert.equal(board.samplesLost, 0);

    const after = await settled(portico);
    assert.ok(after.pids.every((pid) => !before.pids.includes(pid)));
    await waitUntil(
      "the descriptors of generations that are gone to be closed",
      () => openFiles(portico).length <= before.openFiles.length,
      () => `${before.openFiles.join("\n")}\n\n${openFiles(portico).join("\n")}`,
    );
  },
);

/** Once only the workers that serve are left. */
async function settled(portico: Portico): Promise<{ pids: number[]; openFiles: string[] }> {
  const pids = await waitUntil("older generations to go", async () => {
    const { workers } = await portico.status();
    return workers.every(({ state }) => state === "serving") && workers.map(({ pid }) => pid);
  });
  return { pids, openFiles: openFiles(portico) };
}

test("a reload onto a configuration with an error changes nothing and names the place", async (t) => {
  const portico = await startPortico(t, {
    conf: conf(),
    files,
    workers: 1,
    expect: [/conf:\d+:\d+/, /Reload refused/],
  });
  const before = await portico.status();
  portico.writeConf(
    '{\n  "vhosts": [\n    { "name": "localhost", "port": 0,\n      "mounts": [{ "mountpoint": "/", "origin": "fil://public" }] }\n  ]\n}\n',
  );
  const answer = await portico.control("reload");
  assert.equal(answer.ok, false);
  assert.match(answer.message, /conf:4:\d+ vhosts\[0\]\.mounts\[0\]\.origin: /);
  await portico.log(/^conf:4:\d+ vhosts\[0\]\.mounts\[0\]\.origin: /);
  await fetchOnce(`${portico.url()}/small`, false, { status: 200, bytes: SMALL.length });
  const after = await portico.status();
  assert.equal(after.generation, before.generation);
  assert.deepEqual(
    after.workers.map((worker) => worker.pid),
    before.workers.map((worker) => worker.pid),
  );
  assert.equal(after.lastReload?.outcome, "failed");

  portico.writeConf(conf());
  assert.equal((await portico.control("reload")).ok, true);
  assert.equal((await portico.status()).lastReload?.outcome, "ok");
});

test("a reload that a worker refuses is undone, with the place of the value", async (t) => {
  const portico = await startPortico(t, {
    conf: conf(),
    files,
    workers: 2,
    expect: [/conf:\d+:\d+/, /Reload refused/],
  });
  portico.writeConf(conf({ "ws-protocols": [{ "no-such-protocol": { status: "ok" } }] }));
  const answer = await portico.control("reload");
  assert.equal(answer.ok, false);
  assert.match(answer.message, /conf:\d+:\d+ vhosts\[0\]\.ws-protocols\[0\].*no-such-protocol/);
  await waitUntil(
    "the refused generation to go",
    async () => (await portico.status()).workers.length === 2,
  );
  await fetchOnce(`${portico.url()}/small`, false, { status: 200, bytes: SMALL.length });
});

test("a reload adds and removes vhosts and their sockets", async (t) => {
  const portico = await startPortico(t, { conf: conf(), files, workers: 2 });
  const first = portico.port();
  const extra = {
    name: "extra",
    port: 0,
    interface: "127.0.0.1",
    mounts: [{ mountpoint: "/", origin: "file://public" }],
  };
  portico.writeConf(conf({}, [extra]));
  assert.equal((await portico.control("reload")).ok, true);
  const board = await portico.status();
  const added = board.vhosts.find((vhost) => vhost.name === "extra")?.port ?? 0;
  assert.equal(board.vhosts[0]?.port, first);
  assert.notEqual(added, first);
  await fetchOnce(`http://127.0.0.1:${added}/small`, false, { status: 200, bytes: SMALL.length });

  portico.writeConf(conf());
  assert.equal((await portico.control("reload")).ok, true);
  await waitUntil("the removed socket to refuse", () =>
    fetchOnce(`http://127.0.0.1:${added}/small`, false, { status: 200, bytes: SMALL.length }).then(
      () => false,
      (error: NodeJS.ErrnoException) => error.code === "ECONNREFUSED",
    ),
  );
});

test("an address that a reload removes is refused at once, however long the old generation drains", async (t) => {
  const extra = { name: "extra", port: 0, interface: "127.0.0.1" };
  const portico = await startPortico(t, {
    conf: conf({ keepalive_timeout: 60 }, [extra]),
    files,
    workers: 2,
  });
  const { port: removed = 0 } =
    (await portico.status()).vhosts.find((vhost) => vhost.name === "extra") ?? {};
  const held = net.connect(portico.port(), "127.0.0.1");
  t.after(() => held.destroy());
  held.write("GET /small HTTP/1.1\r\nHost: a\r\n\r\n");
  await once(held, "data");

  portico.writeConf(conf({ keepalive_timeout: 60 }));
  assert.equal((await portico.control("reload")).ok, true);
  await waitUntil("the removed socket to refuse", async () => {
    const socket = net.connect(removed, "127.0.0.1");
    try {
      return await new Promise<boolean>((resolve) => {
        socket.once("connect", () => resolve(false));
        socket.once("error", (error: NodeJS.ErrnoException) =>
          resolve(error.code === "ECONNREFUSED"),
        );
      });
    } finally {
      socket.destroy();
    }
  });
  const { workers } = await portico.status();
  assert.ok(workers.some((worker) => worker.state === "draining"));
});

test("twenty SIGHUPs at once become few reloads, and the last one sees the newest configuration", async (t) => {
  const portico = await startPortico(t, { conf: conf(), files, workers: 1 });
  portico.writeConf(conf({ headers: [{ "x-version": "two" }] }));
  for (let n = 0; n < 20; n += 1) portico.signal("SIGHUP");
  await waitUntil("the new header", async () => {
    const response = await fetch(`${portico.url()}/small`, { headers: { connection: "close" } });
    await response.arrayBuffer();
    return response.headers.get("x-version") === "two";
  });
  assert.ok((await portico.status()).generation <= 4);
});

test("a reload says which changed keys wait for the next start, and commands still find the server", async (t) => {
  const portico = await startPortico(t, {
    conf: conf(),
    files,
    workers: 1,
    expect: [/^"control-socket" was changed/],
  });
  const changed = conf();
  portico.writeConf({
    ...changed,
    global: { ...changed.global, "control-socket": "elsewhere.sock" },
  });
  assert.equal((await portico.control("reload")).ok, true);
  await portico.log(/^"control-socket" was changed/);
  const { code, stdout } = await runPortico(["status", "-c", portico.directory], {
    RUNTIME_DIRECTORY: join(portico.directory, "..", "run"),
  });
  assert.equal(code, 0);
  assert.match(stdout, /generation 2/);
});
