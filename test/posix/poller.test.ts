import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { openPoller, READABLE, type Poller } from "../../posix/poller.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const skip = process.platform !== "linux" && "Bare descriptors are for Linux";

type Bound = { readonly poller: Poller; readonly fd: number; readonly target: net.NetConnectOpts };

type Where = net.BoundSocketOptions & { readonly path?: string };

async function bind(t: TestContext, where: Where): Promise<Bound> {
  const poller = await openPoller();
  assert.ok(poller);
  const bound = new net.BoundSocket(where);
  const { path } = where;
  const { address: host, port } = path === undefined ? bound.address() : { address: "", port: 0 };
  assert.equal(poller.listen(bound.fd(), 16), 0);
  t.after(() => {
    poller.stop();
    bound.close();
  });
  return { poller, fd: bound.fd(), target: path === undefined ? { host, port } : { path } };
}

/** What is to be read next. */
function readable(poller: Poller, fd: number): Promise<void> {
  return new Promise((resolve) => poller.watch(fd, READABLE, { onEvents: () => resolve() }));
}

/** A client, and the descriptor of our side. */
async function acceptOne({
  poller,
  fd,
  target,
}: Bound): Promise<{ client: net.Socket; ours: number }> {
  const arrived = readable(poller, fd);
  const client = net.connect(target);
  await Promise.all([once(client, "connect"), arrived]);
  poller.unwatch(fd);
  const ours = poller.accept(fd);
  assert.ok(ours > 0, String(ours));
  return { client, ours };
}

test("Poller accepts, reads, writes and tells the end", { skip }, async (t) => {
  const bound = await bind(t, { host: "127.0.0.1", port: 0 });
  const { poller } = bound;
  assert.equal(poller.accept(bound.fd), -11, "nobody is there, and nobody is waited for");
  const { client, ours } = await acceptOne(bound);
  for (const [place, port] of [
    [poller.peer(), client.localPort],
    [poller.localPlace(ours), client.remotePort],
  ] as const)
    assert.deepEqual([place?.address, place?.port], ["127.0.0.1", port]);
  assert.equal(poller.read(ours), -11);
  client.write("hello");
  await readable(poller, ours);
  poller.unwatch(ours);
  assert.equal(poller.read(ours), 5);
  assert.equal(poller.bytes.toString("latin1", 0, 5), "hello");
  assert.equal(poller.write(ours, Buffer.from("wor"), true), 3);
  assert.equal(poller.write(ours, Buffer.from("ld"), false), 2);
  poller.shutdown(ours);
  let received = "";
  for await (const chunk of client) received += String(chunk);
  assert.equal(received, "world");
  await readable(poller, ours);
  assert.equal(poller.read(ours), 0);
  poller.close(ours);
});

test("Poller names clients as Node does", { skip }, async (t) => {
  for (const host of ["::1", "::ffff:127.0.0.1"]) {
    const bound = await bind(t, { host: host === "::1" ? host : "::", port: 0, ipv6Only: false });
    const { port } = bound.target as { port: number };
    const { client, ours } = await acceptOne({
      ...bound,
      target: { host: host.replace("::ffff:", ""), port },
    });
    assert.equal(bound.poller.peer()?.address, host);
    assert.equal(bound.poller.localPlace(ours)?.address, host);
    client.destroy();
    bound.poller.close(ours);
  }
  const bound = await bind(t, { path: join(temporaryDirectory(t), "socket") });
  const { client, ours } = await acceptOne(bound);
  assert.equal(bound.poller.peer(), undefined);
  client.destroy();
  bound.poller.close(ours);
});

test("Poller tells no event of a closed descriptor to its successor", { skip }, async (t) => {
  const bound = await bind(t, { host: "127.0.0.1", port: 0 });
  const { poller } = bound;
  const pairs = [await acceptOne(bound), await acceptOne(bound)];
  const third = net.connect(bound.target);
  await once(third, "connect");
  const told: string[] = [];
  const successor = new Promise<number>((resolve) => {
    for (const [index, { ours }] of pairs.entries())
      poller.watch(ours, READABLE, {
        onEvents() {
          told.push(`pair ${index}`);
          const other = pairs[1 - index]?.ours ?? -1;
          poller.unwatch(ours);
          poller.close(other);
          // The lowest number that is free.
          const next = poller.accept(bound.fd);
          assert.equal(next, other);
          poller.watch(next, READABLE, { onEvents: () => told.push("successor") });
          resolve(next);
        },
      });
  });
  // Both are there before anybody looks.
  for (const { client } of pairs) client.on("error", () => {}).write("x");
  const fd = await successor;
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(told.length, 1, told.join());
  third.write("y");
  while (told.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(told[1], "successor");
  for (const { client } of pairs) client.destroy();
  third.destroy();
  poller.close(fd);
});

test("Poller calls from where promises and ticks are run behind it", { skip }, async (t) => {
  const bound = await bind(t, { host: "127.0.0.1", port: 0 });
  const order: string[] = [];
  const done = new Promise<void>((resolve) => {
    bound.poller.watch(bound.fd, READABLE, {
      onEvents() {
        bound.poller.unwatch(bound.fd);
        order.push("event");
        process.nextTick(() => order.push("tick"));
        void Promise.resolve().then(() => order.push("promise"));
        setImmediate(() => {
          order.push("immediate");
          resolve();
        });
      },
    });
  });
  const client = net.connect(bound.target);
  await done;
  assert.deepEqual(order, ["event", "tick", "promise", "immediate"]);
  client.destroy();
});

/** In a process of its own, which may end by what nobody catches. */
const MISTAKEN = `
import { createHook } from "node:async_hooks";
import { once } from "node:events";
import net from "node:net";
const [, poller, fd] = process.argv;
const { openPoller, READABLE } = await import(poller);
// Node has an event of its own behind ours, and minds what a mistake has left where somebody looks at such things.
createHook({ before() {} }).enable();
const server = net.createServer((socket) => socket.resume()).listen(0, "127.0.0.1");
await once(server, "listening");
const client = net.connect(server.address().port, "127.0.0.1");
await Promise.all([once(client, "connect"), once(server, "connection")]);
await new Promise(setImmediate);
const told = [];
process.on("uncaughtException", ({ message }) => told.push(message));
const opened = await openPoller();
await new Promise((resolve) => {
  opened.watch(Number(fd), READABLE, {
    onEvents() {
      opened.unwatch(Number(fd));
      process.nextTick(() => { throw new Error("tick"); });
      process.nextTick(() => told.push("next tick"));
      Promise.resolve().then(() => told.push("promise"));
      void Promise.reject(new Error("rejection"));
      resolve();
      throw new Error("event");
    },
  });
  client.write("x");
});
while (told.length < 5) await new Promise(setImmediate);
console.log(told.toSorted().join());
process.exit();
`;

test("Poller keeps apart what those it calls have in an AsyncLocalStorage", { skip }, async (t) => {
  const bound = await bind(t, { host: "127.0.0.1", port: 0 });
  const { poller } = bound;
  const sides = [await acceptOne(bound), await acceptOne(bound), await acceptOne(bound)];
  const storage = new AsyncLocalStorage<string>();
  const found: unknown[] = [];
  for (const [index, { client, ours }] of sides.entries()) {
    const told = new Promise<void>((resolve) => {
      const onHandedOut = (): void => {
        found.push(storage.getStore());
        storage.enterWith("of a follower");
      };
      const onEvents = (): void => {
        poller.unwatch(ours);
        found.push(storage.getStore());
        storage.enterWith("of an event");
        if (index === 0) poller.follow({ onHandedOut });
        resolve();
      };
      poller.watch(ours, READABLE, { onEvents, callsPlugins: true });
      client.write("x");
    });
    // The last one in a turn of its own.
    if (index > 0) await told;
  }
  assert.deepEqual(found, [undefined, undefined, undefined, undefined]);
  for (const { client, ours } of sides) {
    client.destroy();
    poller.close(ours);
  }
});

test("Poller leaves mistakes to Node, and nobody else loses anything by them", { skip }, () => {
  const poller = new URL("../../posix/poller.ts", import.meta.url).href;
  const script = ["--input-type=module", "-e", MISTAKEN, poller, "0"];
  const options = { input: "x", encoding: "utf8", timeout: 60_000 } as const;
  const { stdout, stderr } = spawnSync(process.execPath, script, options);
  assert.equal(stdout, "event,next tick,promise,rejection,tick\n", stderr);
});

test("Poller calls followers when the events in hand have been handed out", { skip }, async (t) => {
  const bound = await bind(t, { host: "127.0.0.1", port: 0 });
  const { poller } = bound;
  assert.equal(poller.follow({ onHandedOut: () => assert.fail("nothing is handed out") }), false);
  const sides: Awaited<ReturnType<typeof acceptOne>>[] = [];
  for (let count = 0; count < 3; count += 1) sides.push(await acceptOne(bound));
  const calls: string[] = [];
  const told = sides.map(
    ({ client, ours }, index) =>
      new Promise<void>((resolve) => {
        const onHandedOut = (): void => {
          calls.push(`after ${index}`);
          assert.equal(poller.follow({ onHandedOut }), false);
          resolve();
        };
        const onEvents = (): void => {
          calls.push("event");
          poller.unwatch(ours);
          assert.ok(poller.follow({ onHandedOut }));
        };
        poller.watch(ours, READABLE, { onEvents });
        client.write("x");
      }),
  );
  await Promise.all(told);
  assert.deepEqual(calls.slice(0, 3), ["event", "event", "event"]);
  assert.equal(new Set(calls.slice(3)).size, 3);
  for (const { client, ours } of sides) {
    client.destroy();
    poller.close(ours);
  }
});

test(
  "Poller reads ahead for those who read at once, and gives each his own bytes",
  { skip },
  async (t) => {
    const bound = await bind(t, { host: "127.0.0.1", port: 0 });
    const { poller } = bound;
    const sides: Awaited<ReturnType<typeof acceptOne>>[] = [];
    // More than are read ahead together, and more bytes than are read ahead of one.
    for (let count = 0; count < 40; count += 1) sides.push(await acceptOne(bound));
    const texts = sides.map((_, index) => `${index} `.repeat(index % 3 === 0 ? 8_000 : 1));
    const got = sides.map(() => "");
    const told = sides.map(
      ({ client, ours }, index) =>
        new Promise<void>((resolve) => {
          let reads = 0;
          const onEvents = (): void => {
            const count = poller.read(ours);
            if (count > 0) got[index] += poller.first(count).toString("latin1");
            reads += 1;
            // Nothing is left after what was read ahead is taken, but for what came meanwhile.
            if (reads === 1 && index % 3 !== 0) assert.equal(poller.read(ours), -11);
            if (count === 0) {
              poller.close(ours);
              resolve();
            }
          };
          poller.watch(ours, READABLE, { onEvents, readsAtOnce: true });
          client.resume();
          client.write(texts[index] ?? "");
        }),
    );
    while (got.some((text) => text === "")) await new Promise(setImmediate);
    for (const { client } of sides) client.end();
    await Promise.all(told);
    assert.deepEqual(got, texts);
  },
);

test("Poller drops what was read ahead of one that another has closed", { skip }, async (t) => {
  const bound = await bind(t, { host: "127.0.0.1", port: 0 });
  const { poller } = bound;
  const sides = [await acceptOne(bound), await acceptOne(bound)];
  let calls = 0;
  const told = new Promise<void>((resolve) => {
    for (const [index, { ours }] of sides.entries())
      poller.watch(ours, READABLE, {
        readsAtOnce: true,
        onEvents() {
          calls += 1;
          const count = poller.read(ours);
          assert.equal(poller.first(count).toString("latin1"), `from ${index}`);
          for (const one of sides) poller.close(one.ours);
          resolve();
        },
      });
  });
  for (const [index, { client }] of sides.entries())
    client.on("error", () => {}).write(`from ${index}`);
  await told;
  for (const { client } of sides) client.resume();
  for (const { client } of sides) if (!client.closed) await once(client, "close");
  assert.equal(calls, 1);
});
