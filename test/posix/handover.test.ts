// Connections between two ends of a pair: each is taken out once, by whoever is first, and lives on as long as one end has it.

import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { once } from "node:events";
import net from "node:net";
import test, { type TestContext } from "node:test";
import {
  openHandoverEnd,
  openHandovers,
  type Handover,
  type Offered,
} from "../../posix/handover.ts";
import { openPoller, READABLE } from "../../posix/poller.ts";

const make = await openHandovers();
const skip = make ? false : "no koffi here, or no Linux";

type Setup = {
  readonly handover: Handover;
  readonly take: () => Offered | undefined;
  /** A client, and the descriptor that its connection was accepted as. */
  readonly connect: () => Promise<{ client: net.Socket; fd: number }>;
};

async function setUp(t: TestContext): Promise<Setup> {
  const handover = make?.();
  const poller = await openPoller();
  assert.ok(handover && poller);
  const take = await openHandoverEnd(handover.farFd);
  assert.ok(take);
  const bound = new net.BoundSocket({ host: "127.0.0.1" });
  const { port } = bound.address();
  const listening = bound.fd();
  assert.equal(poller.listen(listening, 16), 0);
  t.after(() => {
    handover.close();
    poller.stop();
    bound.close();
  });
  return {
    handover,
    take,
    async connect() {
      const client = net.connect({ port, host: "127.0.0.1" });
      t.after(() => client.destroy());
      await once(client, "connect");
      await new Promise<void>((resolve) =>
        poller.watch(listening, READABLE, { onEvents: () => resolve() }),
      );
      poller.unwatch(listening);
      const fd = poller.accept(listening);
      assert.ok(fd > 0, `${fd}`);
      return { client, fd };
    },
  };
}

test("openHandovers passes a connection with its number and listener", { skip }, async (t) => {
  const { handover, take, connect } = await setUp(t);
  const { client, fd } = await connect();
  const id = 2 ** 47 + 1;
  assert.equal(handover.offer(id, 65_535, fd), true);
  closeSync(fd);
  const offered = take();
  assert.ok(offered?.fd !== undefined);
  assert.deepEqual([offered.id, offered.listener], [id, 65_535]);
  assert.equal(take(), undefined);
  const socket = new net.Socket({ fd: offered.fd });
  socket.end("hello");
  let received = "";
  for await (const chunk of client.setEncoding("utf8")) received += chunk;
  assert.equal(received, "hello");
  socket.destroy();
});

test(
  "Handover takes back what was not taken, oldest first, and nothing twice",
  { skip },
  async (t) => {
    const { handover, take, connect } = await setUp(t);
    const { client, fd } = await connect();
    for (const id of [1, 2, 3]) assert.equal(handover.offer(id, 0, fd), true);
    const first = take();
    assert.equal(first?.id, 1);
    assert.equal(handover.takeBack(), 2);
    assert.equal(handover.takeBack(), 3);
    assert.equal(handover.takeBack(), undefined);
    assert.equal(take(), undefined);
    // What was taken back is ours to give again.
    assert.equal(handover.offer(4, 0, fd), true);
    const again = take();
    for (const open of [fd, first.fd, again?.fd]) closeSync(open ?? -1);
    client.resume();
    await once(client, "end");
  },
);

test("Handover refuses what its queue has no room for", { skip }, async (t) => {
  const { handover, take, connect } = await setUp(t);
  const { fd } = await connect();
  let offered = 0;
  while (offered < 100_000 && handover.offer(offered, 0, fd)) offered += 1;
  assert.ok(offered > 64 && offered < 100_000, `${offered}`);
  while (handover.takeBack() !== undefined) offered -= 1;
  assert.equal(offered, 0);
  assert.equal(take(), undefined);
  closeSync(fd);
});
