import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, fstatSync, openSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { openPageCache } from "../../posix/page-cache.ts";
import { temporaryDirectory } from "../helpers/site.ts";

const skip = process.platform !== "linux";

/** Both ends of a connection, and the descriptor of one of them. */
async function connectedPair(
  t: TestContext,
): Promise<{ sender: net.Socket; fd: number; receiver: net.Socket }> {
  const server = net.createServer({ pauseOnConnect: true }).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const address = server.address();
  assert.ok(address && typeof address === "object");
  const sender = net.connect(address.port, "127.0.0.1");
  const [[receiver]] = (await Promise.all([
    once(server, "connection"),
    once(sender, "connect"),
  ])) as [[net.Socket], unknown];
  t.after(() => sender.destroy());
  t.after(() => receiver.destroy());
  const handle: unknown = Reflect.get(sender, "_handle");
  assert.ok(handle && typeof handle === "object");
  return { sender, fd: Number(Reflect.get(handle, "fd")), receiver };
}

function openFile(t: TestContext, bytes: Uint8Array): number {
  const path = join(temporaryDirectory(t), "file");
  writeFileSync(path, bytes);
  const fd = openSync(path, "r");
  t.after(() => closeSync(fd));
  return fd;
}

test(
  "PageCache.send sends the bytes that were asked for, and says where the file ends",
  { skip },
  async (t) => {
    const pageCache = await openPageCache();
    assert.ok(pageCache);
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));
    const file = openFile(t, bytes);
    const { sender, fd, receiver } = await connectedPair(t);
    assert.equal(pageCache.send(fd, file, 1_000, 200_000), 200_000);
    assert.equal(pageCache.send(fd, file, 300_000, 10), "cold");
    sender.end();
    const received = Buffer.concat(await receiver.toArray());
    assert.ok(received.equals(bytes.subarray(1_000, 201_000)));
  },
);

test("PageCache.send stops when the client takes no more", { skip }, async (t) => {
  const pageCache = await openPageCache();
  assert.ok(pageCache);
  const file = openFile(t, Buffer.alloc(64_000_000));
  const { fd } = await connectedPair(t);
  let at = 0;
  for (;;) {
    const sent = pageCache.send(fd, file, at, 1_000_000);
    if (typeof sent !== "number") {
      assert.equal(sent, "full");
      break;
    }
    at += sent;
    assert.ok(at < 64_000_000, "a client that reads nothing takes everything");
  }
});

test("PageCache.sightings are of one file as large as it is", { skip }, async (t) => {
  const pageCache = await openPageCache();
  assert.ok(pageCache);
  const bytes = Buffer.from(Array.from({ length: 600_000 }, (_, index) => index % 251));
  const file = openFile(t, bytes);
  const stat = fstatSync(file, { bigint: true });
  const sightings = pageCache.sightings(stat);
  assert.ok(sightings);
  assert.equal(pageCache.sightings(stat), sightings);
  assert.notEqual(pageCache.sightings({ ...stat, ino: stat.ino + 1n }), sightings);
  assert.notEqual(pageCache.sightings({ ...stat, size: stat.size * 2n }), sightings);
  assert.equal(pageCache.sightings({ ...stat, size: 2n ** 50n }), undefined);
  const { sender, fd, receiver } = await connectedPair(t);
  for (const at of [0, 200_000, 0])
    assert.equal(pageCache.send(fd, file, at, 200_000, sightings), 200_000);
  assert.deepEqual(
    [...sightings].map((time) => Number.isFinite(time)),
    [true, true, true, false, false],
  );
  sender.end();
  const received = Buffer.concat(await receiver.toArray());
  const [first, second] = [bytes.subarray(0, 200_000), bytes.subarray(200_000, 400_000)];
  assert.ok(received.equals(Buffer.concat([first, second, first])));
  // Sightings of what is no more there send nothing that is not there.
  assert.equal(pageCache.send(fd, file, 600_000, 10, new Float64Array(5).fill(Infinity)), "cold");
});

test("PageCache.send refuses what is no file", { skip }, async (t) => {
  const pageCache = await openPageCache();
  assert.ok(pageCache);
  const { fd } = await connectedPair(t);
  const directory = openSync("/", "r");
  t.after(() => closeSync(directory));
  assert.equal(pageCache.send(fd, directory, 0, 10), "unsupported");
});
