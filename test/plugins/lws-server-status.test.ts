import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import lwsServerStatus from "../../plugins/lws-server-status.ts";
import type { Board, BoardWorker } from "../../ipc/board.ts";
import { emptyGauges, emptyVhostCounters, emptyWorkerCounters } from "../../ipc/stats.ts";
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
    server.showBoard(board());
    const text = await client.next();
    assert.deepEqual(JSON.parse(text).vhosts, []);
    assert.doesNotMatch(text, /secret/);
  });
});
