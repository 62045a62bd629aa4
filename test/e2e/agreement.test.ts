// What the status page is told, /metrics, `portico status` and the access log say of the same traffic is what clients counted:
// over a reload, and over workers that are killed, which take at most what was not told yet, and that is counted.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { WebSocket } from "ws";
import type { Board } from "../../ipc/board.ts";
import { runPortico, startPortico, waitUntil, type Portico } from "../helpers/server.ts";
import { exchangeBytes, statusOf } from "../helpers/wire.ts";

const HOST = "a.test";
const KEY = `${HOST}:0`;
const MIRROR = "lws-mirror-protocol";
const STATUS = "lws-server-status";
const CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx"] as const;
type Class = (typeof CLASSES)[number];

const conf = {
  vhosts: [
    {
      name: HOST,
      port: 0,
      interface: "127.0.0.1",
      "access-log": "access.log",
      mounts: [
        { mountpoint: "/", origin: "file://public" },
        { mountpoint: "/run", origin: "cgi://run.cgi" },
        { mountpoint: "/away", origin: ">http://b.test/" },
      ],
      "ws-protocols": [{ [MIRROR]: {} }],
    },
    {
      // Asked by us, so that asking does not change what is asked for.
      name: "ops.test",
      port: 0,
      interface: "127.0.0.2",
      mounts: [{ mountpoint: "/metrics", origin: "metrics://" }],
      "ws-protocols": [{ [STATUS]: { "update-ms": 1 } }],
    },
  ],
};
const files = {
  "public/index.html": "hello",
  "run.cgi": "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nran'\n",
};

/** Answers that clients have had, by class of status; those that broke off are none. */
class Tally {
  readonly counts: Record<Class, number> = { "1xx": 0, "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0 };
  /** Requests that got no answer, or half of one. */
  broken = 0;

  count(status: number): void {
    this.counts[`${Math.floor(status / 100)}xx` as Class] += 1;
  }

  get all(): number {
    return CLASSES.reduce((sum, name) => sum + this.counts[name], 0);
  }
}

/** Goes through a mix of requests again and again on its own connections. */
class Client {
  readonly #port: number;
  readonly #tally: Tally;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

  constructor(port: number, tally: Tally) {
    this.#port = port;
    this.#tally = tally;
  }

  /** Everything once; failures are counted, not thrown. */
  async round(): Promise<void> {
    for (const path of ["/", "/", "/missing", "/away", "/run"])
      await this.#try(() => this.#get(path));
    await this.#try(() => this.#raw("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"));
    await this.#try(() => this.#raw("rubbish\r\n\r\n"));
    await this.#try(() => this.#socket());
  }

  end(): void {
    this.#agent.destroy();
  }

  async #try(request: () => Promise<number>): Promise<void> {
    try {
      this.#tally.count(await request());
    } catch {
      this.#tally.broken += 1;
    }
  }

  async #get(path: string): Promise<number> {
    const request = http.get({
      host: "127.0.0.1",
      port: this.#port,
      path,
      headers: { host: HOST },
      agent: this.#agent,
    });
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    response.resume();
    await once(response, "end");
    if (!response.complete) throw new Error("Half an answer");
    return response.statusCode ?? 0;
  }

  async #raw(bytes: string): Promise<number> {
    const status = statusOf(await exchangeBytes(this.#port, bytes));
    if (!(status > 0)) throw new Error("No answer");
    return status;
  }

  async #socket(): Promise<number> {
    const socket = new WebSocket(`ws://127.0.0.1:${this.#port}/`, MIRROR);
    await once(socket, "open");
    socket.close();
    await once(socket, "close");
    return 101;
  }
}

/** What each of them says of the vhost, by class of status. */
async function ask(portico: Portico): Promise<Record<string, readonly number[]>> {
  const url = `http://127.0.0.2:${portico.port("ops.test")}`;
  const { vhosts } = await told(url);
  const page = vhosts.find(({ name }) => name === HOST);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const served = await runPortico(["status", "-c", portico.directory], {
    RUNTIME_DIRECTORY: `${portico.directory}/../run`,
  });
  const row = new RegExp(`^${KEY} +(.*)$`, "m").exec(served.stdout)?.[1]?.split(/ +/) ?? [];
  const log = logged(portico);
  assert.ok(page);
  const { counters } = page;
  return {
    "the status page": [
      counters.requests,
      counters.status2xx,
      counters.status3xx,
      counters.status4xx,
    ],
    // CONN, REQUESTS, 2XX, 3XX, 4XX
    "portico status": row.slice(1, 5).map(Number),
    "the access log": [
      log.length,
      ...[2, 3, 4].map((digit) => log.filter((status) => status.startsWith(`${digit}`)).length),
    ],
    "/metrics": [sample(metrics, `portico_http_requests_total{vhost="${KEY}"}`)],
  };
}

/** The first message to somebody who asks for the board. */
async function told(url: string): Promise<Board> {
  const socket = new WebSocket(url.replace("http", "ws"), STATUS);
  const [message] = (await once(socket, "message")) as [Buffer];
  socket.terminate();
  return (JSON.parse(message.toString()) as { portico: Board }).portico;
}

function sample(metrics: string, name: string): number {
  const line = metrics.split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

/** Status of each line of the access log. */
function logged(portico: Portico): string[] {
  const lines = readFileSync(join(portico.directory, "access.log"), "latin1").split("\n");
  return lines.filter((line) => line !== "").map((line) => /" (\d{3}) /.exec(line)?.[1] ?? "");
}

async function requestsOf(portico: Portico): Promise<number> {
  const { vhosts } = await portico.status();
  return vhosts.find(({ key }) => key === KEY)?.counters.requests ?? 0;
}

/** Waits until all of them say what the clients have counted. */
async function agree(portico: Portico, { counts, all }: Tally): Promise<void> {
  const expected = [all, counts["2xx"], counts["3xx"], counts["4xx"]];
  let last: Awaited<ReturnType<typeof ask>> = {};
  await waitUntil(
    "all to agree",
    async () => {
      last = await ask(portico);
      return Object.values(last).every((numbers) =>
        numbers.every((number, index) => number === expected[index]),
      );
    },
    () => JSON.stringify({ expected, ...last }),
  );
}

test("everybody tells what clients counted, over a reload and over a worker that is killed when all is told", async (t) => {
  const portico = await startPortico(t, { conf, files, workers: 2, expect: [/^Worker died/] });
  const tally = new Tally();
  const clients = Array.from({ length: 3 }, () => new Client(portico.port(HOST), tally));
  t.after(() => {
    for (const client of clients) client.end();
  });
  const rounds = async (count: number): Promise<void> => {
    await Promise.all(
      clients.map(async (client) => {
        for (let round = 0; round < count; round += 1) await client.round();
      }),
    );
  };

  await rounds(4);
  assert.deepEqual([tally.all, tally.broken], [3 * 4 * 8, 0]);
  await agree(portico, tally);

  const [reloaded] = await Promise.all([portico.control("reload"), rounds(8)]);
  assert.equal(reloaded.ok, true);
  assert.equal(tally.broken, 0, "a reload loses nothing");
  await agree(portico, tally);

  const before = await portico.status();
  const victim = before.workers.find(({ state }) => state === "serving");
  assert.ok(victim);
  process.kill(victim.pid, "SIGKILL");
  await waitUntil("it to be replaced", async () => {
    const { workers, restarts } = await portico.status();
    const serving = workers.filter(({ state }) => state === "serving");
    return restarts === 1 && serving.length === 2;
  });
  assert.equal((await portico.status()).samplesLost, 1);
  await agree(portico, tally);
  await rounds(2);
  // A connection that was kept to the one that died breaks once.
  assert.ok(tally.broken <= clients.length, `${tally.broken} broke`);
  await agree(portico, tally);
});

test("a worker that is killed under load takes along no more than was not told yet, and that is counted", async (t) => {
  const portico = await startPortico(t, {
    conf,
    files,
    workers: 2,
    expect: [/^Worker died/, /^Killed \d+ CGI process group/],
  });
  const tally = new Tally();
  let state: "asking" | "ended" = "asking";
  const loops = Array.from({ length: 4 }, async () => {
    const client = new Client(portico.port(HOST), tally);
    while (state === "asking") await client.round();
    client.end();
  });
  await waitUntil("some to be told", async () => (await requestsOf(portico)) > 50);
  const [victim] = (await portico.status()).workers;
  assert.ok(victim);
  const toldBefore = await requestsOf(portico);
  process.kill(victim.pid, "SIGKILL");
  const killedAt = tally.all;
  let shown = toldBefore;
  await waitUntil("it to be replaced, and much more to be asked", async () => {
    const board = await portico.status();
    const now = await requestsOf(portico);
    assert.ok(now >= shown, `the total went back from ${shown} to ${now}`);
    shown = now;
    return board.restarts === 1 && tally.all > killedAt + 100;
  });
  state = "ended";
  await Promise.all(loops);

  // Whoever leaves tells the rest of what it has counted.
  assert.equal((await portico.control("reload")).ok, true);
  await waitUntil("the others to leave", async () => {
    const { generations } = await portico.status();
    return generations.length === 1;
  });
  const total = await requestsOf(portico);
  assert.equal((await portico.status()).samplesLost, 1);
  // What clients had by the time of its death and nobody had told; one answer of each may have come in between.
  const mayBeLost = killedAt - toldBefore + loops.length;
  assert.ok(tally.all - total <= mayBeLost, `${tally.all - total} lost, at most ${mayBeLost}`);
  assert.ok(total <= tally.all + tally.broken, `${total} told of ${tally.all}`);
  await portico.stop();
  // The log and the board lose alike: up to a second of lines each.
  assert.ok(logged(portico).length <= tally.all + tally.broken);
});
