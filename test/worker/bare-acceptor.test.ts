import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, readdirSync, readFileSync, statSync } from "node:fs";
import net from "node:net";
import { test, type TestContext } from "node:test";
import { createLogger } from "../../log/logger.ts";
import { openLibc } from "../../posix/native.mjs";
import { openPoller, READABLE, type Poller } from "../../posix/poller.ts";
import type { Acceptor } from "../../worker/accept.ts";
import { createBareAcceptor } from "../../worker/bare-acceptor.ts";
import { createCounters, type Counters } from "../../worker/counters.ts";
import type { BareTransport } from "../../worker/http/bare-transport.ts";

const skip = process.platform !== "linux" && "Bare descriptors are for Linux";

/** The same on all of Linux but MIPS and SPARC. */
const RLIMIT_NOFILE = 7;
/** More than the poller looks at in a turn. */
const BUSY = 300;
const CLIENTS = 40;

/** Whether any epoll instance of this process watches what has this inode. */
function isWatched(inode: number): boolean {
  return readdirSync("/proc/self/fdinfo").some((fd) => {
    try {
      const info = readFileSync(`/proc/self/fdinfo/${fd}`, "latin1");
      return info.split("\n").some((line) => line.includes(` ino:${inode.toString(16)} `));
    } catch {
      // That of the listing itself.
      return false;
    }
  });
}

type Started = {
  readonly acceptor: Acceptor;
  readonly counters: Counters;
  readonly fd: number;
  readonly poller: Poller;
  readonly connect: () => net.Socket;
};

async function start(
  t: TestContext,
  onConnection: (transport: BareTransport) => void,
  onExhausted?: () => void,
): Promise<Started> {
  const [poller, native] = await Promise.all([openPoller(), openLibc()]);
  assert.ok(poller && native);
  const bound = new net.BoundSocket({ host: "127.0.0.1", port: 0 });
  // As the supervisor keeps one.
  const fd: number = native.libc.func("int dup(int fd)")(bound.fd());
  const listener = { address: "test", port: 0, fd, secure: false, vhosts: [], overrides: [] };
  const log = await createLogger({ name: "test", level: "silent" });
  const counters = createCounters();
  const acceptor = createBareAcceptor(listener, counters, log, poller, onConnection, onExhausted);
  t.after(() => {
    acceptor.close();
    poller.stop();
    bound.close();
  });
  await acceptor.listen();
  const { port } = bound.address();
  const connect = (): net.Socket => net.connect({ port, host: "127.0.0.1" }).on("error", () => {});
  return { acceptor, counters, fd, poller, connect };
}

test(
  "createBareAcceptor counts what it takes, and a closed one is not woken by clients of those who listen on",
  { skip },
  async (t) => {
    const gone = Promise.withResolvers<void>();
    const { acceptor, counters, fd, connect } = await start(t, (transport) => {
      transport.onceClosed(gone.resolve);
      transport.destroy();
    });
    const inode = statSync(`/proc/self/fd/${fd}`).ino;
    await once(connect(), "close");
    await gone.promise;
    assert.equal(counters.worker.connectionsAccepted, 1);
    assert.equal(counters.openConnections, 0);
    assert.equal(isWatched(inode), true);
    acceptor.close();
    assert.equal(isWatched(inode), false);
  },
);

test(
  "createBareAcceptor is not told for ever of clients that it can neither take nor turn away",
  { skip },
  async (t) => {
    const native = await openLibc();
    assert.ok(native);
    const getLimits = native.libc.func("int getrlimit(int resource, void* limits)");
    const setLimits = native.libc.func("int setrlimit(int resource, void* limits)");
    const limits = new BigUint64Array(2);
    getLimits(RLIMIT_NOFILE, limits);
    const restore = (): void => setLimits(RLIMIT_NOFILE, limits);
    t.after(restore);
    let failures = 0;
    const taken = Promise.withResolvers<void>();
    const { connect } = await start(
      t,
      (transport) => {
        transport.destroy();
        taken.resolve();
      },
      () => (failures += 1),
    );
    const client = connect();
    // Where its descriptor is made; it has arrived then, but nobody has looked.
    await new Promise((resolve) => process.nextTick(resolve));
    // Every number below it is in use.
    setLimits(RLIMIT_NOFILE, new BigUint64Array([3n, limits[1] ?? 3n]));
    while (failures === 0) await new Promise((resolve) => setImmediate(resolve));
    for (let turn = 0; turn < 500; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(failures < 50, `${failures} in 500 turns`);
    restore();
    await taken.promise;
    client.destroy();
  },
);

test(
  "createBareAcceptor takes clients as fast where others have more to tell than is looked at in a turn",
  { skip },
  async (t) => {
    let taken = 0;
    const { connect, poller } = await start(t, (transport) => {
      taken += 1;
      transport.destroy();
    });
    const native = await openLibc();
    assert.ok(native);
    const dup = native.libc.func("int dup(int fd)");
    const ends = new Uint32Array(2);
    assert.equal(native.libc.func("int pipe(void* ends)")(ends), 0);
    const [reading = 0, writing = 0] = ends;
    closeSync(writing);
    let told = 0;
    const busy = Array.from({ length: BUSY }, () => dup(reading));
    for (const fd of busy) poller.watch(fd, READABLE, { onEvents: () => (told += 1) });
    // All are there before anybody looks.
    const clients = Array.from({ length: CLIENTS }, connect);
    await new Promise((resolve) => process.nextTick(resolve));
    while (taken < CLIENTS) await new Promise((resolve) => setImmediate(resolve));
    for (const fd of busy) poller.close(fd);
    closeSync(reading);
    for (const client of clients) client.destroy();
    // 1, 2, 4, 8, 16 and 9, and two turns until the listener comes up again.
    assert.ok(told < 15 * BUSY, `${told} events of others`);
  },
);
