import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, test } from "node:test";
import { NotifyError, openNotifyProgram, openNotifySocket } from "../../posix/notify.ts";
import { startNotifyReceiver } from "../helpers/notify-receiver.ts";
import { needs } from "../helpers/programs.ts";
import { temporaryDirectory } from "../helpers/site.ts";

/** More than a Unix datagram socket queues (net.unix.max_dgram_qlen). */
const MORE_THAN_THE_QUEUE = 600;

suite("openNotifySocket", () => {
  for (const kind of ["path", "abstract"] as const) {
    test(`delivers each message whole and in order to a socket with ${kind}`, async (t) => {
      const receiver = await startNotifyReceiver(t, { kind });
      if (!receiver) return;
      const socket = await openNotifySocket(receiver.address);
      t.after(() => socket.close());
      assert.equal(socket.by, "libc");
      const sent = [
        "READY=1\nSTATUS=Schön, 2 workers",
        "RELOADING=1",
        `STATUS=${"x".repeat(5000)}`,
      ];
      for (const message of sent) await socket.send(message);
      await receiver.message(/x$/);
      assert.deepEqual(receiver.messages, sent);
    });
  }

  test("waits for a manager whose queue is full", async (t) => {
    const receiver = await startNotifyReceiver(t, { waits: true });
    if (!receiver) return;
    const socket = await openNotifySocket(receiver.address);
    t.after(() => socket.close());
    const sent = Array.from({ length: MORE_THAN_THE_QUEUE }, (_, index) => `STATUS=${index}`);
    let delivered = 0;
    let wasFull = false;
    for (const message of sent) {
      const sending = socket.send(message).then(() => (delivered += 1));
      // One that finds room is done by the next turn of the event loop.
      await new Promise((resolve) => setImmediate(resolve));
      if (delivered <= sent.indexOf(message) && !wasFull) {
        wasFull = true;
        receiver.read();
      }
      await sending;
    }
    assert.ok(wasFull, "the queue never was full");
    await receiver.message(`STATUS=${MORE_THAN_THE_QUEUE - 1}`);
    assert.deepEqual(receiver.messages, sent);
  });

  test("rejects where nobody listens", async (t) => {
    const socket = await openNotifySocket(join(temporaryDirectory(t), "nobody"));
    t.after(() => socket.close());
    await assert.rejects(
      socket.send("READY=1"),
      (error) => error instanceof NotifyError && /ENOENT/.test(error.message),
    );
  });

  test("leaves an address that is no Unix socket to systemd-notify", async () => {
    const addresses = ["vsock:2:1", `/${"x".repeat(200)}`, "@", ""];
    for (const address of addresses)
      assert.equal((await openNotifySocket(address)).by, "systemd-notify", address);
  });
});

suite("openNotifyProgram", () => {
  test("delivers by systemd-notify", async (t) => {
    const receiver = await startNotifyReceiver(t);
    if (!receiver || !needs(t, "systemd-notify", ["systemd-notify"])) return;
    await openNotifyProgram(receiver.address).send("RELOADING=1\nSTATUS=two words");
    const { text } = await receiver.message("RELOADING=1");
    assert.deepEqual(text.trim().split("\n"), ["RELOADING=1", "STATUS=two words"]);
  });

  test("rejects where nobody listens", async (t) => {
    if (!needs(t, "systemd-notify", ["systemd-notify"])) return;
    const socket = openNotifyProgram(join(temporaryDirectory(t), "nobody"));
    await assert.rejects(socket.send("READY=1"), NotifyError);
  });
});
