// The bus over a real NATS server: two servers of ours are one world, whatever becomes of it in between.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { certificateMaker } from "../helpers/certificates.ts";
import { needs } from "../helpers/programs.ts";
import { runPortico, startPortico, waitUntil, type Portico } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";
import { Client } from "../plugins/clients.ts";

const MIRROR = "lws-mirror-protocol";
const STATUS = "lws-status";
const LOST = [/^Lost NATS at 127\.0\.0\.1:/, /^Cannot reach NATS at 127\.0\.0\.1:/];
const PASSWORD = "s3cret-of-the-bus";
const FLOOD_BYTES = 256 * 1024;
/** More than kernel and supervisor keep for a server that does not read. */
const FLOOD_COUNT = 400;
/** What the supervisor may have grown by then: what it keeps unconfirmed, twice in its hands, and its heap. */
const MAX_GROWTH_BYTES = 150 * 1024 * 1024;

/** Publishes on the bus what a client asks for. */
const FLOOD_PLUGIN = `export default {
  name: "flood",
  start({ bus }) {
    const peers = new Set();
    bus.subscribe("flood", (message) => {
      for (const peer of peers) peer.send(String(message.length));
    });
    return {
      open: (peer) => void peers.add(peer),
      message(peer, message) {
        const [count, bytes] = String(message).split(" ").map(Number);
        for (let at = 0; at < count; at += 1) bus.publish("flood", Buffer.alloc(bytes));
      },
    };
  },
};`;

type Nats = { readonly port: number; readonly process: ChildProcess; stop(): Promise<void> };

/** Undefined once the test is skipped. */
function findNats(t: TestContext): string | undefined {
  return needs(t, "nats-server", ["nats-server", "/usr/sbin/nats-server"]);
}

/** Starts one, on a port of its own choice unless told. */
async function startNats(
  t: TestContext,
  program: string,
  args: readonly string[] = [],
  port = -1,
): Promise<Nats> {
  const child = spawn(program, ["-a", "127.0.0.1", "-p", String(port), ...args], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(child, "exit");
  const stop = async (): Promise<void> => {
    child.kill("SIGCONT");
    child.kill("SIGKILL");
    await exited;
  };
  t.after(stop);
  const lines: string[] = [];
  for await (const line of createInterface(child.stderr)) {
    lines.push(line);
    const found = /client connections on \S+:(\d+)/.exec(line)?.[1];
    if (found === undefined) continue;
    child.stderr.resume();
    return { port: Number(found), process: child, stop };
  }
  return assert.fail(`nats-server does not start:\n${lines.join("\n")}`);
}

type Options = {
  readonly url: string;
  readonly global?: Readonly<Record<string, unknown>>;
  readonly expect?: readonly RegExp[];
};

function conf({ url, global }: Options) {
  return {
    global: { ...global, "plugin-dir": "plugins", bus: { nats: url } },
    vhosts: [
      {
        name: "localhost",
        interface: "127.0.0.1",
        port: 0,
        mounts: [],
        "ws-protocols": { [MIRROR]: {}, [STATUS]: {}, flood: {} },
      },
    ],
  };
}

function start(t: TestContext, options: Options): Promise<Portico> {
  return startPortico(t, {
    conf: conf(options),
    files: { "plugins/flood.mjs": FLOOD_PLUGIN },
    workers: 2,
    // NATS ends before them, with each test.
    expect: [...LOST, ...(options.expect ?? [])],
  });
}

async function startConnected(t: TestContext, options: Options): Promise<Portico> {
  const portico = await start(t, options);
  await portico.log(/^The bus reaches NATS at 127\.0\.0\.1:\d+$/);
  return portico;
}

function connect(t: TestContext, portico: Portico, protocol = MIRROR): Promise<Client> {
  return Client.open(t, portico.url().replace("http", "ws"), protocol);
}

/** How many lws-status counts. */
function countOf(message: string): number {
  return Number((JSON.parse(message) as { wsi: string }).wsi);
}

/** How often "The bus reaches NATS" stands in the log. */
function timesConnected({ logs }: Portico): number {
  return logs.filter(({ msg }) => msg.startsWith("The bus reaches NATS")).length;
}

test("two servers are one world, and each message comes once", async (t) => {
  const program = findNats(t);
  if (program === undefined) return;
  const nats = await startNats(t, program);
  const url = `nats://127.0.0.1:${nats.port}`;
  const [here, there] = await Promise.all([startConnected(t, { url }), startConnected(t, { url })]);
  const one = await connect(t, here);
  const two = await connect(t, there);
  for (let at = 0; at < 100; at += 1) one.socket.send(`one ${at}`);
  for (const client of [one, two])
    for (let at = 0; at < 100; at += 1) assert.equal(await client.next(), `one ${at}`);
  two.socket.send("two");
  assert.equal(await one.next(), "two");
  assert.equal(await two.next(), "two");
  // Whatever came twice would be here by now.
  one.socket.send("last");
  assert.equal(await one.next(), "last");
  assert.equal(await two.next(), "last");
  assert.equal(one.waiting + two.waiting, 0);
  const { nats: state, counters } = await here.status();
  assert.deepEqual(state?.address, `127.0.0.1:${nats.port}`);
  assert.equal(state.isUp, true);
  assert.equal(counters.busDropped, 0);
});

test("a server that ends takes along what its workers announced, and one that comes asks", async (t) => {
  const program = findNats(t);
  if (program === undefined) return;
  const nats = await startNats(t, program);
  const url = `nats://127.0.0.1:${nats.port}`;
  const here = await startConnected(t, { url });
  const early = await connect(t, here, STATUS);
  await early.nextThat((message) => countOf(message) === 1);
  const there = await startConnected(t, { url });
  const late = await connect(t, there, STATUS);
  await late.nextThat((message) => countOf(message) === 2);
  await early.nextThat((message) => countOf(message) === 2);
  assert.equal(await there.stop(), 0);
  await early.nextThat((message) => countOf(message) === 1);

  const killed = await startConnected(t, { url, expect: [/./] });
  const third = await connect(t, killed, STATUS);
  await third.nextThat((message) => countOf(message) === 2);
  await early.nextThat((message) => countOf(message) === 2);
  // Its workers end by themselves, and nobody says so to us.
  killed.signal("SIGKILL");
  await early.nextThat((message) => countOf(message) === 1);
});

test("without NATS each server serves on, and when it is back they are one world again", async (t) => {
  const program = findNats(t);
  if (program === undefined) return;
  const nats = await startNats(t, program);
  const options = { url: `nats://127.0.0.1:${nats.port}` };
  const [here, there] = await Promise.all([startConnected(t, options), startConnected(t, options)]);
  const one = await connect(t, here);
  const two = await connect(t, there);
  await nats.stop();
  await Promise.all([here, there].map((portico) => portico.log(/^Lost NATS/)));
  one.socket.send("alone");
  assert.equal(await one.next(), "alone");
  await waitUntil("the message to be counted as lost", async () => {
    const { counters, nats: state } = await here.status();
    return counters.busDropped === 1 && state?.isUp === false;
  });
  await startNats(t, program, [], nats.port);
  await waitUntil("both to be connected", () =>
    [here, there].every((portico) => timesConnected(portico) === 2),
  );
  one.socket.send("together");
  assert.equal(await two.next(), "together");
});

test("a server that is not there yet is waited for, and no password is told", async (t) => {
  const program = findNats(t);
  if (program === undefined) return;
  const first = await startNats(t, program);
  await first.stop();
  const secret = `nats://ann:${PASSWORD}@127.0.0.1:${first.port}`;
  const portico = await start(t, { url: secret, expect: [/^NATS at/] });
  await portico.log(/^Cannot reach NATS/);
  const nats = await startNats(t, program, ["--user", "ann", "--pass", PASSWORD], first.port);
  await portico.log(/^The bus reaches NATS/);

  // A reload with a wrong password, and back.
  portico.writeConf(conf({ url: `nats://ann:not-${PASSWORD}@127.0.0.1:${nats.port}` }));
  assert.equal((await portico.control("reload")).ok, true);
  await portico.log(/Authorization Violation/i);
  portico.writeConf(conf({ url: secret }));
  assert.equal((await portico.control("reload")).ok, true);
  await waitUntil("the second connection", () => timesConnected(portico) === 2);

  const dumped = await runPortico(["dump", "-c", portico.directory]);
  const asJson = await runPortico(["dump", "--json", "-c", portico.directory]);
  assert.match(dumped.stdout, /nats:\/\/ann:\(hidden\)@127\.0\.0\.1/);
  const told = [dumped, asJson, portico.logs, await portico.status()];
  assert.doesNotMatch(JSON.stringify(told), new RegExp(PASSWORD));
});

test("a token opens NATS too, and is not told either", async (t) => {
  const program = findNats(t);
  if (program === undefined) return;
  const nats = await startNats(t, program, ["--auth", PASSWORD]);
  const portico = await startConnected(t, { url: `nats://${PASSWORD}@127.0.0.1:${nats.port}` });
  const dumped = await runPortico(["dump", "-c", portico.directory]);
  assert.match(dumped.stdout, /nats:\/\/\(hidden\)@127\.0\.0\.1/);
  assert.doesNotMatch(JSON.stringify([portico.logs, await portico.status()]), new RegExp(PASSWORD));
});

test("tls:// reaches a server whose certificate is good, and no other", async (t) => {
  const program = findNats(t);
  if (program === undefined) return;
  const make = certificateMaker(t);
  if (!make) return;
  const authority = make({ names: ["Authority"], isAuthority: true });
  const pair = make({ names: ["127.0.0.1"], by: authority });
  const directory = temporaryDirectory(t);
  const files = { "ca.pem": authority.cert, "cert.pem": pair.cert, "key.pem": pair.key };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  const at = (name: string): string => join(directory, name);
  const nats = await startNats(t, program, [
    "--tls",
    "--tlscert",
    at("cert.pem"),
    "--tlskey",
    at("key.pem"),
  ]);
  const url = `tls://127.0.0.1:${nats.port}`;
  const trusting = await startConnected(t, { url, global: { "nats-ca": at("ca.pem") } });
  assert.equal((await trusting.status()).nats?.isUp, true);
  const doubting = await start(t, { url });
  const { msg } = await doubting.log(/^Cannot reach NATS/);
  assert.match(msg, /certificate/i);
  assert.equal((await doubting.status()).nats?.isUp, false);

  const clear = await startNats(t, program);
  const insisting = await start(t, { url: `tls://127.0.0.1:${clear.port}` });
  assert.match((await insisting.log(/^Cannot reach NATS/)).msg, /tls/i);
});

test("what NATS does not take is lost and counted: too long, or more than it reads", async (t) => {
  const program = findNats(t);
  if (program === undefined) return;
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "nats.conf"), `max_payload: ${2 * FLOOD_BYTES}\n`);
  const nats = await startNats(t, program, ["-c", join(directory, "nats.conf")]);
  const options = { url: `nats://127.0.0.1:${nats.port}` };
  const [here, there] = await Promise.all([startConnected(t, options), startConnected(t, options)]);
  const speaker = await connect(t, here, "flood");
  const listener = await connect(t, there, "flood");
  const dropped = async (): Promise<number> => (await here.status()).counters.busDropped;
  speaker.socket.send(`1 ${3 * FLOOD_BYTES}`);
  await waitUntil("the long message to be counted", async () => (await dropped()) === 1);
  speaker.socket.send(`1 ${FLOOD_BYTES}`);
  assert.equal(await listener.next(), String(FLOOD_BYTES));

  const sizeBefore = await supervisorBytes(here);
  nats.process.kill("SIGSTOP");
  for (let at = 0; at < FLOOD_COUNT; at += 10) speaker.socket.send(`10 ${FLOOD_BYTES}`);
  await waitUntil("messages to be dropped", async () => (await dropped()) > 100);
  const growth = (await supervisorBytes(here)) - sizeBefore;
  assert.ok(growth < MAX_GROWTH_BYTES, `The supervisor grew by ${growth} bytes`);
  nats.process.kill("SIGCONT");
  // It may have been given up meanwhile; either way the next ones get through.
  let isThrough = false;
  const through = listener.nextThat((message) => message === "5").then(() => (isThrough = true));
  await waitUntil("messages to get through", () => {
    speaker.socket.send("1 5");
    return isThrough;
  });
  await through;
});

async function supervisorBytes(portico: Portico): Promise<number> {
  const { readFile } = await import("node:fs/promises");
  const status = await readFile(`/proc/${portico.pid}/status`, "latin1");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}
