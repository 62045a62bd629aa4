import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import {
  ConfigError,
  ReconfigureError,
  start,
  type GivenConfig,
  type GivenVhost,
  type PorticoServer,
} from "../../embed/portico.ts";

async function begin(t: TestContext, config: GivenConfig): Promise<PorticoServer> {
  const directory = mkdtempSync(join(tmpdir(), "portico-embed-"));
  t.after(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, "plugin.mjs"), PLUGIN);
  const server = await start(config, { directory, workers: 1, logLevel: "silent" });
  t.after(() => server.stop());
  return server;
}

const PLUGIN = `export default {
  name: "hello",
  start: () => ({
    request: (exchange) => exchange.send(200, [["Content-Type", "text/plain"]], "hello"),
    open: (peer) => void peer.send("hello"),
  }),
};`;

const hello: GivenVhost = {
  name: "hello.test",
  port: 0,
  interface: "127.0.0.1",
  mounts: [{ mountpoint: "/", origin: "callback://hello" }],
  "ws-protocols": { hello: { plugin: "./plugin.mjs" } },
};

const other: GivenVhost = {
  name: "other.test",
  port: 0,
  interface: "127.0.0.2",
  mounts: [{ mountpoint: "/", origin: ">https://example.com" }],
};

test("start serves a configuration made by a program, with a plugin of its own", async (t) => {
  const server = await begin(t, { global: { "server-string": "embedded" }, vhosts: [hello] });
  const response = await fetch(server.url());
  assert.equal(await response.text(), "hello");
  assert.equal(response.headers.get("server"), "embedded");
  const socket = new WebSocket(server.url("hello.test").replace("http", "ws"), "hello");
  const [event] = (await once(socket, "message")) as [MessageEvent];
  assert.equal(event.data, "hello");
  socket.close();
  await server.stop();
  await assert.rejects(fetch(response.url));
});

test("start serves nothing yet where there is no vhost, until one is added", async (t) => {
  const server = await begin(t, {});
  assert.deepEqual(server.status().vhosts, []);
  assert.throws(() => server.url(), /No vhost/);
  await server.addVhost(hello);
  assert.equal(await (await fetch(server.url("hello.test"))).text(), "hello");
});

test("vhosts come and go while the others keep their address", async (t) => {
  const server = await begin(t, { vhosts: [hello] });
  const url = server.url("hello.test");
  await Promise.all([server.addVhost(other), server.addVhost({ ...other, name: "third.test" })]);
  assert.deepEqual(
    server.status().vhosts.map(({ name }) => name),
    ["hello.test", "other.test", "third.test"],
  );
  assert.equal(server.url("hello.test"), url);
  assert.equal((await fetch(server.url("other.test"), { redirect: "manual" })).status, 301);
  assert.equal(await server.removeVhost("other.test"), true);
  assert.equal(await server.removeVhost("other.test"), false);
  assert.throws(() => server.url("other.test"), /No vhost other.test/);
  assert.equal(await (await fetch(url)).text(), "hello");
});

test("a configuration that is refused names each problem by its path, and changes nothing", async (t) => {
  const broken = { vhosts: [{ ...hello, port: "eighty" }] } as GivenConfig;
  await assert.rejects(start(broken), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.match(error.message, /^vhosts\[0\]\.port: Expected a whole number/);
    return true;
  });
  const server = await begin(t, { vhosts: [hello] });
  await assert.rejects(
    server.addVhost({ ...other, mounts: [{ mountpoint: "/", origin: "fil://x" }] }),
    (error) => {
      assert.ok(error instanceof ReconfigureError);
      assert.match(error.message, /vhosts\[1\]\.mounts\[0\]\.origin: Unknown scheme "fil:\/\/"/);
      return true;
    },
  );
  // The refused vhost is not tried again.
  await server.addVhost(other);
  assert.equal(await (await fetch(server.url("hello.test"))).text(), "hello");
});

test("children of the program are left alone", async (t) => {
  const { spawn } = await import("node:child_process");
  const server = await begin(t, { vhosts: [hello] });
  const child = spawn("sleep", ["60"], { detached: true });
  t.after(() => child.kill("SIGKILL"));
  const [worker] = server.status().workers;
  assert.ok(worker);
  process.kill(worker.pid, "SIGKILL");
  while (
    server.status().workers.every(({ pid, state }) => pid === worker.pid || state !== "serving")
  )
    await new Promise(setImmediate);
  assert.equal(child.exitCode, null);
  assert.equal(child.signalCode, null);
});
