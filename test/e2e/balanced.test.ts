// "distribution": "balanced": connections are spread evenly, and a worker that dies, stands still or leaves takes none along
// that it had not taken.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { join } from "node:path";
import test, { suite, type TestContext } from "node:test";
import { openHandovers } from "../../posix/handover.ts";
import { certificateMaker } from "../helpers/certificates.ts";
import { needs } from "../helpers/programs.ts";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";
import { freshConnections, keptConnections, slowDownloads } from "../helpers/traffic.ts";
import { WHO_PLUGIN, WHO_VHOST } from "../helpers/who-plugin.ts";
import { connect, statusOf, type Wire } from "../helpers/wire.ts";

const MIRROR = "lws-mirror-protocol";
const WEB_SOCKETS = 200;
const LAST = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
const BIG_BYTES = 3_000_000;

const balanced = { distribution: "balanced" };
const vhost = {
  name: "a.test",
  port: 0,
  interface: "127.0.0.1",
  mounts: [{ mountpoint: "/", origin: "file://public" }],
  "ws-protocols": [{ [MIRROR]: {} }],
};
const files = { "public/index.html": "hello", "public/big": Buffer.alloc(BIG_BYTES) };
const skip = (await openHandovers()) ? false : "no koffi here, or no Linux";

type Worker = Awaited<ReturnType<Portico["status"]>>["workers"][number];

async function serving(portico: Portico): Promise<Worker[]> {
  return (await portico.status()).workers.filter(({ state }) => state === "serving");
}

function openWebSockets(t: TestContext, portico: Portico, count: number): Promise<WebSocket[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const socket = new WebSocket(portico.url().replace("http", "ws"), MIRROR);
      t.after(() => socket.close());
      await once(socket, "open");
      return socket;
    }),
  );
}

/** WebSockets of each worker that serves, once all of them together have so many. */
function countWebSockets(portico: Portico, total: number): Promise<number[]> {
  return waitUntil("WebSockets to be counted", async () => {
    const counts = (await serving(portico)).map(({ gauges }) => gauges.openWebSockets);
    return counts.reduce((sum, count) => sum + count, 0) === total && counts;
  });
}

/** Connections that have sent a request each. */
async function ask(portico: Portico, count: number): Promise<Wire[]> {
  const wires = await Promise.all(Array.from({ length: count }, () => connect(portico.port())));
  for (const wire of wires) wire.write(LAST);
  return wires;
}

async function assertAnswered(wires: readonly Wire[]): Promise<void> {
  const answers = await Promise.all(wires.map((wire) => wire.rest()));
  assert.deepEqual(new Set(answers.map(statusOf)), new Set([200]));
}

suite("balanced distribution", { skip }, () => {
  test("gives each worker as many WebSockets as the others, also after a reload and to one more", async (t) => {
    const portico = await startPortico(t, {
      conf: { global: balanced, vhosts: [vhost] },
      files,
      workers: 4,
    });
    await openWebSockets(t, portico, WEB_SOCKETS);
    const counts = await countWebSockets(portico, WEB_SOCKETS);
    assert.equal(counts.length, 4);
    for (const count of counts) assert.ok(count >= 49 && count <= 51, counts.join());
    // Who was there before stays where it is.
    assert.equal((await portico.control("scale", 2)).ok, true);
    await openWebSockets(t, portico, 10);
    assert.deepEqual(await countWebSockets(portico, 110), [55, 55]);
    assert.equal((await portico.control("reload")).ok, true);
    await openWebSockets(t, portico, 20);
    assert.deepEqual(await countWebSockets(portico, 20), [10, 10]);
    assert.equal((await portico.control("scale", 3)).ok, true);
    await openWebSockets(t, portico, 10);
    assert.deepEqual(await countWebSockets(portico, 30), [10, 10, 10]);
    const { workers } = await portico.status();
    const all = workers.reduce((sum, { gauges }) => sum + gauges.openWebSockets, 0);
    assert.equal(all, WEB_SOCKETS + 40);
  });

  test("loses nothing that a killed worker had not taken", async (t) => {
    const portico = await startPortico(t, {
      conf: { global: balanced, vhosts: [vhost] },
      files,
      workers: 1,
      expect: [/^Worker died \(SIGKILL/],
    });
    const [only] = await serving(portico);
    assert.ok(only);
    process.kill(only.pid, "SIGSTOP");
    // More than are offered to one worker: the rest waits in the kernel's queue.
    const wires = await ask(portico, 80);
    process.kill(only.pid, "SIGKILL");
    await assertAnswered(wires);
    assert.equal((await portico.status()).restarts, 1);
  });

  test("gives to others what a worker that stands still has not taken", async (t) => {
    const portico = await startPortico(t, {
      conf: { global: { ...balanced, "watchdog-secs": 600 }, vhosts: [vhost] },
      files,
      workers: 2,
      expect: [/^Worker takes no connections/],
    });
    const [one] = await serving(portico);
    assert.ok(one);
    process.kill(one.pid, "SIGSTOP");
    await assertAnswered(await ask(portico, 20));
    await portico.log(/^Worker takes no connections: others get \d+ of its/);
    process.kill(one.pid, "SIGCONT");
    // It gets its share again.
    await waitUntil("connections to it", async () => {
      await openWebSockets(t, portico, 1);
      const found = (await serving(portico)).find(({ pid }) => pid === one.pid);
      return found && found.gauges.openWebSockets > 0;
    });
    assert.equal((await portico.status()).restarts, 0);
  });

  test("refuses nobody while workers, generations and ways of distribution change", async (t) => {
    const conf = (distribution: string): { global: Record<string, unknown>; vhosts: unknown } => ({
      global: { distribution },
      vhosts: [vhost],
    });
    const portico = await startPortico(t, { conf: conf("balanced"), files, workers: 2 });
    const small = { status: 200, bytes: 5 };
    const all = [
      freshConnections(portico.url(), 3, small),
      keptConnections(portico.url(), 3, small),
      slowDownloads(`${portico.url()}/big`, 1, { status: 200, bytes: BIG_BYTES }),
    ];
    const change = async (command: Parameters<Portico["control"]>[0], argument?: number) => {
      const seen = all.map(({ answered }) => answered);
      assert.equal((await portico.control(command, argument)).ok, true, command);
      await waitUntil("traffic", () =>
        all.slice(0, 2).every((each, i) => each.answered > (seen[i] ?? 0)),
      );
    };
    await change("reload");
    const [one] = await serving(portico);
    await change("drain", one?.id);
    await change("restart");
    await change("scale", 3);
    await change("scale", 1);
    for (const distribution of ["shared", "shared", "balanced", "balanced"]) {
      portico.writeConf(conf(distribution));
      await change("reload");
    }
    for (const traffic of all) assert.deepEqual((await traffic.stop()).failures, []);
    assert.equal((await portico.status()).restarts, 0);
  });

  test("serves TLS, PROXY headers and unix sockets as ever", async (t) => {
    const make = certificateMaker(t);
    if (!make) return;
    const pair = make({ names: ["127.0.0.1", "tls"] });
    const socket = join(temporaryDirectory(t), "socket");
    const portico = await startPortico(t, {
      conf: {
        global: { ...balanced, "plugin-dir": "plugins", "init-ssl": "1" },
        vhosts: [
          { ...WHO_VHOST, name: "plain" },
          { ...WHO_VHOST, name: "proxied", interface: "127.0.0.2", "proxy-protocol": "127.0.0.1" },
          { ...WHO_VHOST, name: "tls", "host-ssl-cert": "cert", "host-ssl-key": "key" },
          { ...WHO_VHOST, name: "path", "unix-socket": true, interface: socket, port: undefined },
        ],
      },
      files: { "plugins/who.mjs": WHO_PLUGIN, cert: pair.cert, key: pair.key },
      workers: 2,
    });
    const who = (answer: string): string => answer.split("\r\n\r\n")[1] ?? "";
    const direct = await connect(portico.port("plain"));
    const { localPort } = direct.socket;
    direct.write(LAST);
    assert.equal(who(await direct.rest()), `127.0.0.1 ${localPort} false`);
    const proxied = `PROXY TCP4 198.51.100.7 192.0.2.1 56324 443\r\n${LAST}`;
    const behind = await connect(portico.port("proxied"), "127.0.0.2");
    behind.write(proxied);
    assert.equal(who(await behind.rest()), "198.51.100.7 56324 false");
    const tls = https.get({ port: portico.port("tls"), host: "127.0.0.1", ca: pair.cert });
    assert.match(await bodyOf(tls), /^127\.0\.0\.1 \d+ true$/);
    assert.match(await bodyOf(http.get({ socketPath: socket })), / 0 false$/);
    assert.equal((await portico.control("reload")).ok, true);
    assert.match(await bodyOf(http.get({ socketPath: socket })), / 0 false$/);
  });

  test("lets clients wait while the supervisor can open no more files", async (t) => {
    const prlimit = needs(t, "prlimit", ["prlimit"]);
    if (!prlimit) return;
    const portico = await startPortico(t, {
      conf: { global: balanced, vhosts: [vhost] },
      files,
      workers: 2,
      expect: [/^Cannot accept on "127\.0\.0\.1:\d+": EMFILE/, /^Cannot read/],
    });
    limitTo(prlimit, portico.pid, lowestFree(portico.pid));
    const wires = await ask(portico, 20);
    await portico.log(/^Cannot accept on .*EMFILE/);
    limitTo(prlimit, portico.pid, 1024);
    await assertAnswered(wires);
    await assertAnswered(await ask(portico, 5));
  });

  test("offers to others what a worker that can open no more files declines", async (t) => {
    const prlimit = needs(t, "prlimit", ["prlimit"]);
    if (!prlimit) return;
    const portico = await startPortico(t, {
      conf: { global: balanced, vhosts: [vhost] },
      files,
      workers: 2,
      expect: [/^Cannot open one more file: EMFILE$/],
    });
    await assertAnswered(await ask(portico, 10));
    const [one] = await serving(portico);
    assert.ok(one);
    limitTo(prlimit, one.pid, lowestFree(one.pid));
    await openWebSockets(t, portico, 10);
    const counts = await countWebSockets(portico, 10);
    assert.deepEqual(
      counts.toSorted((a, b) => a - b),
      [0, 10],
    );
  });
});

/** As a limit it leaves no descriptor to be opened. */
function lowestFree(pid: number): number {
  const taken = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let free = 0;
  while (taken.has(free)) free += 1;
  return free;
}

function limitTo(prlimit: string, pid: number, count: number): void {
  execFileSync(prlimit, ["--pid", String(pid), `--nofile=${count}:`]);
}

async function bodyOf(request: http.ClientRequest): Promise<string> {
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  let body = "";
  for await (const chunk of response.setEncoding("utf8")) body += chunk as string;
  return body;
}
