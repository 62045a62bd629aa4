import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import lwsMirror from "../../plugins/lws-mirror-protocol.ts";
import { Client, frame, RawClient } from "./clients.ts";
import { createBusDouble, startProtocolServer } from "./protocol-server.ts";

const NAME = "lws-mirror-protocol";

async function startWorkers(t: TestContext) {
  const bus = createBusDouble();
  const start = (worker: number) => startProtocolServer(t, { protocols: [lwsMirror], bus, worker });
  return [await start(1), await start(2)] as const;
}

suite(NAME, () => {
  test("sends everything to everybody on every worker, the sender included, in the sender's order", async (t) => {
    const [one, two] = await startWorkers(t);
    const clients = [
      await Client.open(t, one.url, NAME),
      await Client.open(t, one.url, NAME),
      await Client.open(t, two.url, NAME),
    ];
    const [a, , c] = clients;
    // A burst from two workers at once: whole for all, in order for each sender.
    const burst = 500;
    for (let index = 0; index < burst; index += 1) {
      a?.socket.send(`d #ff0000 ${index} 1 2 3;`);
      c?.socket.send(`c #0000ff ${index} 1 2;`);
    }
    for (const client of clients) {
      const next = { d: 0, c: 0 };
      for (let count = 0; count < 2 * burst; count += 1) {
        const [kind, , index] = (await client.next()).split(" ");
        assert.ok(kind === "d" || kind === "c");
        assert.equal(Number(index), next[kind]);
        next[kind] += 1;
      }
      assert.equal(client.waiting, 0);
    }
    // Each where it came from, not where it was passed on.
    assert.deepEqual({ ...one.counted, ...two.counted }, { messages: burst });
  });

  test("keeps rooms apart, also across workers", async (t) => {
    const [one, two] = await startWorkers(t);
    const hall = await Client.open(t, one.url, NAME);
    const blue = await Client.open(t, `${one.url}/?mirror=blue%20room`, NAME);
    const farBlue = await Client.open(t, `${two.url}/x?a=b&mirror=blue+room`, NAME);
    const farHall = await Client.open(t, two.url, NAME);
    for (const word of ["first", "last"]) {
      blue.socket.send(`${word} in the blue room`);
      assert.equal(await blue.next(), `${word} in the blue room`);
      hall.socket.send(`${word} in the hall`);
      assert.equal(await hall.next(), `${word} in the hall`);
    }
    // The bus keeps a worker's order, so a message from the other room would stand in between.
    for (const word of ["first", "last"]) {
      assert.equal(await farBlue.next(), `${word} in the blue room`);
      assert.equal(await farHall.next(), `${word} in the hall`);
    }
  });

  test("shows a joiner only what comes after", async (t) => {
    const [one, two] = await startWorkers(t);
    const first = await Client.open(t, one.url, NAME);
    first.socket.send("before");
    await first.next();
    const late = await Client.open(t, two.url, NAME);
    first.socket.send("after");
    assert.equal(await late.next(), "after");
  });

  test("re-sends bytes as text that is valid", async (t) => {
    const [one] = await startWorkers(t);
    const reader = await Client.open(t, one.url, NAME);
    const client = await RawClient.upgrade(t, one.port, NAME);
    client.socket.write(frame(Buffer.of(0x41, 0xff), { opcode: 2 }));
    assert.equal(await reader.next(), "A\ufffd");
  });

  test("takes room names of 30 characters and refuses longer ones", async (t) => {
    const [one] = await startWorkers(t);
    const name = "ž".repeat(30);
    const fits = await Client.open(t, `${one.url}/?mirror=${encodeURIComponent(name)}`, NAME);
    fits.socket.send("hello");
    assert.equal(await fits.next(), "hello");
    const over = await Client.open(t, `${one.url}/?mirror=${encodeURIComponent(`${name}ž`)}`, NAME);
    assert.equal((await over.closed).code, 1008);
  });

  test("closes 1009 for a message of more than 64 KiB", async (t) => {
    const [one] = await startWorkers(t);
    const client = await Client.open(t, one.url, NAME);
    client.socket.send("x".repeat(64 * 1024));
    assert.equal((await client.next()).length, 64 * 1024);
    client.socket.send("x".repeat(64 * 1024 + 1));
    assert.equal((await client.closed).code, 1009);
  });
});
