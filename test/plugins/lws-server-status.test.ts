import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import lwsServerStatus from "../../plugins/lws-server-status.ts";
import type { Board, BoardWorker } from "../../ipc/board.ts";
import {
  emptyGauges,
  emptyMountCounters,
  emptyVhostCounters,
  emptyWorkerCounters,
} from "../../ipc/stats.ts";
import { waitUntil } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";
import { Client } from "./clients.ts";
import { startProtocolServer } from "./protocol-server.ts";

const NAME = "lws-server-status";

function start(t: TestContext, options: Record<string, unknown> = {}) {
  return startProtocolServer(t, { protocols: [lwsServerStatus], options: { [NAME]: options } });
}

function worker(id: number): BoardWorker {
  const gauges = {
    ...emptyGauges(),
    openConnections: 5,
    openWebSockets: 2,
    activeRequests: 1,
    cgiAlive: 1,
  };
  return {
    id,
    slot: id,
    generation: 1,
    pid: 1000 + id,
    state: "serving",
    uptimeSecs: 10,
    cpuPercent: 1,
    memoryBytes: 1,
    counters: emptyVhostCounters(),
    gauges,
  };
}

function board(changes: Partial<Board> = {}): Board {
  return {
    version: "0.1.0",
    pid: 1000,
    directory: "/etc/portico",
    startedAt: 1_000_000,
    now: 1_090_500,
    generation: 1,
    restarts: 0,
    deaths: [],
    generations: [],
    samplesLost: 0,
    listeners: [
      { address: "0.0.0.0:7681", secure: false, vhosts: ["secret.example:7681"], state: "open" },
      { address: "10.9.9.9:80", secure: false, vhosts: [], state: "waiting" },
    ],
    workers: [worker(1), worker(2)],
    vhosts: [
      {
        key: "secret.example:7681",
        name: 'secret.example"<b>',
        port: 7681,
        secure: true,
        sts: false,
        mounts: [
          {
            mountpoint: "/",
            origin: "file:///srv/www",
            default: "",
            cacheMaxAge: 60,
            cacheReuse: true,
            cacheRevalidate: false,
            cacheIntermediaries: false,
          },
        ],
        protocols: [NAME],
        counters: {
          ...emptyVhostCounters(),
          rx: 11,
          tx: 22,
          connections: 3,
          requests: 4,
          upgrades: 5,
        },
      },
    ],
    totals: emptyVhostCounters(),
    counters: { ...emptyWorkerCounters(), cgiStarted: 7 },
    latencyBoundsUs: [],
    recent: [],
    lastReload: {
      at: 1,
      outcome: "failed",
      generation: 2,
      message: "secret.example is wrong",
      problems: ["conf.d/secret.example:1:1 x"],
    },
    ...changes,
  };
}

const HISTORY = {
  seconds: [
    [1, 5],
    [2, 7.5],
    [4, 7.2],
  ],
  minutes: [[1, 5]],
};

/** A client that asks for changes, and how it takes them. */
async function follow(t: TestContext) {
  const server = await startProtocolServer(t, {
    protocols: [lwsServerStatus],
    options: { [NAME]: { "update-ms": 1 } },
    readHistory: () => Promise.resolve(HISTORY),
  });
  const client = await Client.open(t, `${server.url}/live?changes`, NAME);
  return {
    server,
    client,
    next: async () => JSON.parse(await client.next()),
    take: () => client.socket.send("next"),
  };
}

suite(NAME, () => {
  test("sends the schema of lwsws 2.0, every scalar a string, and the board as it is", async (t) => {
    const server = await start(t);
    const client = await Client.open(t, server.url, NAME);
    assert.equal(server.showBoard(board()), true);
    const { portico, l1, l2, l3, pt_fd_max, ...status } = JSON.parse(await client.next());
    for (const load of [l1, l2, l3]) assert.match(load, /^\d+\.\d\d$/);
    assert.match(pt_fd_max, /^\d+$/);
    assert.deepEqual(status, {
      version: "0.1.0",
      uptime: "90",
      cgi_spawned: "7",
      ah_pool_max: "0",
      wsi_alive: "11",
      pt: [
        { fds_count: "5", ah_pool_inuse: "1", ah_wait_list: "0" },
        { fds_count: "5", ah_pool_inuse: "1", ah_wait_list: "0" },
      ],
      vhosts: [
        {
          name: 'secret.example"<b>',
          port: "7681",
          use_ssl: "1",
          sts: "0",
          rx: "11",
          tx: "22",
          conn: "3",
          trans: "4",
          ws_upg: "5",
          http2_upg: "0",
          mounts: [
            {
              mountpoint: "/",
              origin: "file:///srv/www",
              cache_max_age: "60",
              cache_reuse: "1",
              cache_revalidate: "0",
              cache_intermediaries: "0",
            },
          ],
          "ws-protocols": [{ [NAME]: { status: "ok" } }],
        },
      ],
      listen_wsi: "1",
      cgi_alive: "2",
    });
    assert.deepEqual(portico, board());
  });

  test("gives a new client the latest at once", async (t) => {
    const server = await start(t);
    const first = await Client.open(t, server.url, NAME);
    server.showBoard(board());
    const latest = await first.next();
    const second = await Client.open(t, server.url, NAME);
    assert.equal(await second.next(), latest);
  });

  test("watches only while somebody is there, and never shows what is old", async (t) => {
    const server = await start(t);
    assert.equal(server.showBoard(board()), false);
    const first = await Client.open(t, server.url, NAME);
    server.showBoard(board({ generation: 1 }));
    await first.next();
    first.socket.close();
    await server.deserted();
    assert.equal(server.showBoard(board()), false);
    const second = await Client.open(t, server.url, NAME);
    server.showBoard(board({ generation: 2 }));
    assert.equal(JSON.parse(await second.next()).portico.generation, 2);
  });

  test("sends no more often than update-ms", async (t) => {
    const server = await start(t, { "update-ms": "3600000" });
    const first = await Client.open(t, server.url, NAME);
    server.showBoard(board({ generation: 1 }));
    server.showBoard(board({ generation: 2 }));
    const second = await Client.open(t, server.url, NAME);
    assert.equal(JSON.parse(await first.next()).portico.generation, 1);
    assert.equal(JSON.parse(await second.next()).portico.generation, 1);
    assert.equal(first.waiting, 0);
  });

  test("names no vhost anywhere with hide-vhosts", async (t) => {
    const server = await start(t, { "hide-vhosts": "1" });
    const client = await Client.open(t, server.url, NAME);
    const death = { at: 1, worker: 1, slot: 0, pid: 2, why: 'silent in vhost "secret"' };
    server.showBoard(board({ deaths: [death] }));
    const text = await client.next();
    assert.deepEqual(JSON.parse(text).vhosts, []);
    assert.doesNotMatch(text, /secret/);
    const follower = await Client.open(t, `${server.url}/?changes`, NAME);
    const first = await follower.next();
    assert.deepEqual(JSON.parse(first).portico.vhosts, []);
    assert.doesNotMatch(first, /secret/);
  });

  test("shows the beginning of files, and that one cannot be read", async (t) => {
    const directory = temporaryDirectory(t);
    const [long, missing, pipe] = ["long", "missing", "pipe"].map((name) => join(directory, name));
    assert.ok(long && missing && pipe);
    writeFileSync(long, `"<b>\u0000é${"x".repeat(1_000)}`);
    execFileSync("mkfifo", [pipe]);
    const server = await start(t, {
      filespath: [long, missing],
      filepath: pipe,
      "update-ms": 1,
    });
    const client = await Client.open(t, server.url, NAME);
    server.showBoard(board());
    const first = JSON.parse(await client.next());
    // They are read beside it, the first time perhaps not in time.
    const { files } = await waitUntil("the files", async () => {
      if (first.files) return first;
      server.showBoard(board());
      const later = JSON.parse(await client.next());
      return later.files && later;
    });
    const [read, ...others] = files;
    assert.equal(read.path, long);
    assert.equal(read.val, `"<b>\u0000é${"x".repeat(255 - 7)}`);
    assert.deepEqual(others, [
      { path: missing, val: "(unknown)" },
      { path: pipe, val: "" },
    ]);
    assert.throws(() => lwsServerStatus.options?.parse({ filespath: "relative" }), /absolute/);
  });

  test("tells everything once, with what was before, and then what changed", async (t) => {
    const { server, next, take } = await follow(t);
    const one = board({ now: 1 });
    server.showBoard(one);
    const first = await next();
    assert.deepEqual(first.portico, one);
    assert.deepEqual(first.history, {
      seconds: [
        [1, 5],
        [1, 2.5],
        [2, -0.3],
      ],
      minutes: [[1, 5]],
    });
    assert.equal(first.vhosts, undefined, "what only lwsws's own page reads");

    const [vhost] = one.vhosts;
    const [mount] = vhost?.mounts ?? [];
    assert.ok(vhost && mount);
    const counters = { ...vhost.counters, requests: 5 };
    const own = { ...emptyMountCounters(), requests: 1 };
    const mounts = [{ ...mount, counters: own }, mount];
    const two = { ...one, now: 2, vhosts: [vhost, { ...vhost, counters, mounts }] };
    server.showBoard({ ...two, vhosts: [vhost, { ...vhost, mounts: [mount, mount] }] });
    take();
    // There is another vhost, so they are described anew.
    assert.equal((await next()).changes.vhosts.length, 2);
    server.showBoard(two);
    take();
    const { changes, portico, history } = await next();
    assert.deepEqual([portico, history], [undefined, undefined]);
    assert.deepEqual(changes, { changed: [[1, { counters, mounts: [[0, { counters: own }]] }]] });
  });

  test("sends a client that takes its time only what it is due, and what has changed by then", async (t) => {
    const { server, client, next, take } = await follow(t);
    server.showBoard(board({ now: 1 }));
    await next();
    for (let now = 2; now < 10; now += 1) server.showBoard(board({ now }));
    assert.equal(client.waiting, 0);
    take();
    // However often it says so.
    take();
    take();
    assert.equal((await next()).changes.now, 9);
    server.showBoard(board({ now: 10 }));
    assert.equal((await next()).changes.now, 10);
    // Nobody knows any more what it has: it gets everything, but for the history.
    for (let now = 11; now < 35; now += 1) server.showBoard(board({ now }));
    take();
    const whole = await next();
    assert.deepEqual([whole.portico.now, whole.history], [34, undefined]);
  });

  test("ends a client that never takes what it was sent", async (t) => {
    const { server, client, next } = await follow(t);
    server.showBoard(board());
    await next();
    for (let count = 0; count < 40; count += 1) server.showBoard(board());
    assert.deepEqual(await client.closed, { code: 1013, reason: "Too slow" });
    assert.equal(client.waiting, 0);
  });
});
