import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import test, { type TestContext } from "node:test";
import { integer, object, string } from "../../config/shape.ts";
import { createChannel } from "../../ipc/channel.ts";
import { encodeFrame, FrameError } from "../../ipc/frame.ts";

const MAX_BYTES = 10_000;
const table = { count: object({ n: integer() }), say: object({ text: string() }) };

async function connectPair(t: TestContext): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const near = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
  const [far] = (await once(server, "connection")) as [net.Socket];
  t.after(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return [near, far];
}

function openChannel(stream: net.Socket, onEnd: (error: Error | undefined) => void = () => {}) {
  return createChannel({
    stream,
    sends: table,
    receives: table,
    maxReceiveBytes: MAX_BYTES,
    maxSendBytes: MAX_BYTES,
    onEnd,
  });
}

test("Channel delivers messages in order, decoded by their table", async (t) => {
  const [near, far] = await connectPair(t);
  const seen: unknown[] = [];
  const done = Promise.withResolvers<void>();
  openChannel(far).serve({
    count: ({ n }) => void seen.push(n),
    say: ({ text }) => {
      seen.push(text);
      done.resolve();
    },
  });
  const sender = openChannel(near);
  for (const n of [1, 2, 3]) assert.equal(sender.send("count", { n }), true);
  sender.send("say", { text: "end" });
  await done.promise;
  assert.deepEqual(seen, [1, 2, 3, "end"]);
});

test("Channel end waits until the peer has read what came last, whatever that writes meanwhile", async (t) => {
  const [near, far] = await connectPair(t);
  const order: string[] = [];
  const parted = Promise.withResolvers<void>();
  const sender = openChannel(near);
  sender.serve({ count: () => {}, say: () => {} });
  sender.send("say", { text: "last" });
  sender.end(() => {
    order.push("done");
    parted.resolve();
  });
  await once(near, "finish");
  const receiver = openChannel(far, () => void order.push("closed"));
  assert.equal(receiver.send("count", { n: 1 }), true);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(receiver.send("count", { n: 2 }), true);
  receiver.serve({ count: () => {}, say: ({ text }) => void order.push(text) });
  await parted.promise;
  assert.deepEqual(order, ["last", "closed", "done"]);
  assert.equal(sender.send("count", { n: 3 }), false);
});

const broken: Record<string, unknown> = {
  "an unknown name": ["nonsense", {}],
  "a name of Object.prototype": ["toString", {}],
  "a body of another shape": ["count", { n: "many" }],
  "a member too many": ["count", { n: 1, m: 2 }],
  "no pair": { name: "count" },
};
for (const [what, value] of Object.entries(broken)) {
  test(`Channel ends on ${what} and handles nothing after it`, async (t) => {
    const [near, far] = await connectPair(t);
    const ended = Promise.withResolvers<Error | undefined>();
    let handled = 0;
    openChannel(far, ended.resolve).serve({
      count: () => (handled += 1),
      say: () => (handled += 1),
    });
    near.write(
      Buffer.concat([encodeFrame(value, MAX_BYTES), encodeFrame(["count", { n: 1 }], MAX_BYTES)]),
    );
    assert.ok((await ended.promise) instanceof FrameError);
    assert.equal(handled, 0);
  });
}

test("Channel tells once that its peer has gone, and sends no more", async (t) => {
  const [near, far] = await connectPair(t);
  const ended = Promise.withResolvers<Error | undefined>();
  const channel = openChannel(far, ended.resolve);
  channel.serve({ count: () => {}, say: () => {} });
  near.end();
  assert.equal(await ended.promise, undefined);
  assert.equal(channel.send("count", { n: 1 }), false);
});

test("Channel says when its peer does not read", async (t) => {
  const [near] = await connectPair(t);
  const channel = openChannel(near);
  assert.equal(channel.congested, false);
  // The far side never reads: the kernel's buffers fill, then ours.
  for (let n = 0; n < 20_000 && !channel.congested; n += 1)
    channel.send("say", { text: "x".repeat(MAX_BYTES / 2) });
  assert.equal(channel.congested, true);
});
