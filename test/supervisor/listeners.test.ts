import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import type { WantedListener } from "../../config/listeners.ts";
import { BindError } from "../../supervisor/bind.ts";
import { Listeners } from "../../supervisor/listeners.ts";

function loopback(port: number): WantedListener {
  return { kind: "tcp", interface: "127.0.0.1", port, families: [4], secure: false, vhosts: [0] };
}

function unix(path: string): WantedListener {
  return { kind: "unix", path, secure: false, vhosts: [0] };
}

function openListeners(t: TestContext): Listeners {
  const listeners = new Listeners();
  t.after(() => listeners.closeAll());
  return listeners;
}

function tempDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "portico-test-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function listenElsewhere(t: TestContext, options: net.ListenOptions): Promise<net.Server> {
  const server = net.createServer().listen(options);
  await once(server, "listening");
  t.after(() => server.close());
  return server;
}

test("Listeners gives port 0 one port for both address families", async (t) => {
  const wanted: WantedListener = {
    kind: "tcp",
    port: 0,
    families: [4, 6],
    secure: false,
    vhosts: [0],
  };
  const { listeners, lacksIpv6 } = await openListeners(t).acquire([wanted], undefined);
  assert.equal(listeners.length, lacksIpv6 ? 1 : 2);
  assert.equal(new Set(listeners.map((listener) => listener.port)).size, 1);
  assert.notEqual(listeners[0]?.port, 0);
});

test("Listeners keeps a socket over two users and closes it after the last", async (t) => {
  const listeners = openListeners(t);
  const first = await listeners.acquire([loopback(0)], undefined);
  const second = await listeners.acquire([loopback(0)], undefined);
  assert.equal(first.listeners[0]?.fd, second.listeners[0]?.fd);
  listeners.release(first);
  const third = await listeners.acquire([loopback(0)], undefined);
  assert.equal(third.listeners[0]?.port, second.listeners[0]?.port);
  listeners.release(second);
  listeners.release(third);
  const port = third.listeners[0]?.port ?? 0;
  // Only a closed socket lets somebody else listen there.
  await listenElsewhere(t, { host: "127.0.0.1", port });
});

test("Listeners knows its own socket again when port 0 is asked for by the number it became", async (t) => {
  const listeners = openListeners(t);
  const first = await listeners.acquire([loopback(0)], undefined);
  const port = first.listeners[0]?.port ?? 0;
  const second = await listeners.acquire([loopback(port)], undefined);
  assert.equal(second.listeners[0]?.fd, first.listeners[0]?.fd);
  listeners.release(first);
  const third = await listeners.acquire([loopback(port)], undefined);
  assert.equal(third.listeners[0]?.fd, second.listeners[0]?.fd);
  listeners.release(second);
  listeners.release(third);
  await listenElsewhere(t, { host: "127.0.0.1", port });
});

test("Listeners names every address in use with the errno, and binds none of the others", async (t) => {
  const taken = await listenElsewhere(t, { host: "127.0.0.1", port: 0 });
  const { port } = taken.address() as net.AddressInfo;
  const directory = tempDirectory(t);
  const listeners = openListeners(t);
  const path = join(directory, "free.sock");
  await assert.rejects(
    listeners.acquire([unix(path), loopback(port)], undefined),
    (error: Error) => {
      assert.ok(error instanceof BindError);
      assert.equal(error.message, `Cannot bind "127.0.0.1:${port}": EADDRINUSE`);
      return true;
    },
  );
  assert.equal(existsSync(path), false);
});

test("Listeners replaces a stale unix socket, refuses a live one, and leaves other files alone", async (t) => {
  const directory = tempDirectory(t);
  const live = join(directory, "live.sock");
  await listenElsewhere(t, { path: live });
  await assert.rejects(
    openListeners(t).acquire([unix(live)], undefined),
    /EADDRINUSE, another process listens/,
  );

  const stale = join(directory, "stale.sock");
  // process.exit() leaves the file of a pipe server behind, as a crash does.
  const { execFileSync } = await import("node:child_process");
  const script = "require('net').createServer().listen(process.argv[1], () => process.exit())";
  execFileSync(process.execPath, ["-e", script, stale]);
  assert.ok(existsSync(stale));
  const listeners = openListeners(t);
  await listeners.acquire([unix(stale)], undefined);
  assert.equal(statSync(stale).mode & 0o777, 0o660);
  listeners.closeAll();
  assert.equal(existsSync(stale), false);

  const file = join(directory, "file");
  writeFileSync(file, "mine");
  await assert.rejects(openListeners(t).acquire([unix(file)], undefined), BindError);
  assert.ok(existsSync(file));
});

test(
  "Listeners takes abstract unix sockets",
  { skip: process.platform !== "linux" && "Linux only" },
  async (t) => {
    const name = `@portico-test-${process.pid}`;
    const { listeners } = await openListeners(t).acquire([unix(name)], undefined);
    assert.equal(listeners[0]?.bound, `unix:${name}`);
    await assert.rejects(openListeners(t).acquire([unix(name)], undefined), BindError);
  },
);

function wildcard(port: number): WantedListener {
  return { kind: "tcp", port, families: [4], secure: false, vhosts: [0] };
}

for (const [name, first, second] of [
  ["one address and then all of them", loopback, wildcard],
  ["all addresses and then one of them", wildcard, loopback],
] as const)
  test(`Listeners says what to do when a port it has is wanted on ${name}`, async (t) => {
    const listeners = openListeners(t);
    const set = await listeners.acquire([first(0)], undefined);
    const port = set.listeners[0]?.port ?? 0;
    await assert.rejects(listeners.acquire([second(port)], undefined), (error) => {
      assert.ok(error instanceof BindError);
      assert.match(
        error.message,
        /^Cannot bind "\S+" while this server itself listens on \S+: take .* out and reload, then put it back .*; a restart/,
      );
      return true;
    });
    listeners.release(set);
    const changed = await listeners.acquire([second(port)], undefined);
    assert.equal(changed.listeners[0]?.port, port);
  });

test("Listeners waits for those who still listen on a port that it gave up", async (t) => {
  const listeners = openListeners(t);
  const set = await listeners.acquire([loopback(0)], undefined);
  const port = set.listeners[0]?.port ?? 0;
  listeners.release(set);
  const last = net.createServer().listen({ port, host: "127.0.0.1" });
  await once(last, "listening");
  const again = listeners.acquire([loopback(port)], undefined);
  last.close();
  assert.equal((await again).listeners[0]?.port, port);
});
