import assert from "node:assert/strict";
import { suite, test } from "node:test";
import dumbIncrement from "../../plugins/dumb-increment-protocol.ts";
import { Client } from "./clients.ts";
import { startProtocolServer } from "./protocol-server.ts";

const NAME = "dumb-increment-protocol";

suite(NAME, () => {
  test("counts up from 0 for each connection", async (t) => {
    const server = await startProtocolServer(t, { protocols: [dumbIncrement] });
    const first = await Client.open(t, server.url, NAME);
    for (const number of ["0", "1", "2"]) assert.equal(await first.next(), number);
    const second = await Client.open(t, server.url, NAME);
    assert.equal(await second.next(), "0");
    assert.equal(await first.next(), "3");
  });

  test("starts again at reset, for that connection only, and ignores anything else", async (t) => {
    const server = await startProtocolServer(t, { protocols: [dumbIncrement] });
    const other = await Client.open(t, server.url, NAME);
    const client = await Client.open(t, server.url, NAME);
    await client.nextThat((number) => number === "3");
    for (const junk of ["reset", "x".repeat(9000), "", "RESET\n"]) client.socket.send(junk);
    const before = Number(await client.next());
    assert.equal(before, 4);
    client.socket.send("reset\n");
    assert.equal(await client.nextThat((number) => Number(number) < before), "0");
    for (let number = 0; number < 5; number += 1) assert.equal(await other.next(), String(number));
  });

  test("closes with 1001 seeya when asked", async (t) => {
    const server = await startProtocolServer(t, { protocols: [dumbIncrement] });
    const client = await Client.open(t, server.url, NAME);
    client.socket.send("closeme\n");
    assert.deepEqual(await client.closed, { code: 1001, reason: "seeya" });
  });

  test("counts for who comes after everybody left", async (t) => {
    const server = await startProtocolServer(t, { protocols: [dumbIncrement] });
    const first = await Client.open(t, server.url, NAME);
    await first.next();
    first.socket.close();
    await server.deserted();
    const second = await Client.open(t, server.url, NAME);
    assert.equal(await second.next(), "0");
    assert.equal(await second.next(), "1");
  });
});
