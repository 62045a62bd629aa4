import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { once } from "node:events";
import net from "node:net";
import test, { type TestContext } from "node:test";
import { openPoller } from "../../posix/poller.ts";
import { Intake, type IntakeOptions, type IntakeSocket } from "../../supervisor/intake.ts";

const probe = await openPoller();
probe?.stop();
const skip = probe ? false : "no koffi here, or no Linux";

function bind(t: TestContext, port = 0): IntakeSocket & { readonly port: number } {
  const bound = new net.BoundSocket({ host: "127.0.0.1", port });
  t.after(() => bound.close());
  const { port: given } = bound.address();
  return { key: `${port}`, bound: `127.0.0.1:${given}`, fd: bound.fd(), port: given };
}

async function makeIntake(t: TestContext, options: Omit<IntakeOptions, "poller">): Promise<Intake> {
  const poller = await openPoller();
  assert.ok(poller);
  const intake = new Intake({ ...options, poller });
  t.after(() => intake.close());
  return intake;
}

test("Intake tells which socket cannot listen", { skip }, async (t) => {
  const intake = await makeIntake(t, {
    hasRoom: () => true,
    onConnection: () => assert.fail("nobody connects"),
    onFailure: assert.fail,
  });
  const [one, other] = [bind(t), bind(t)];
  // Bound twice is allowed; listened on twice is not.
  const rival = bind(t, other.port);
  assert.deepEqual(intake.listen([one, other]), []);
  assert.deepEqual(intake.listen([one, rival]), [{ socket: rival, code: "EADDRINUSE" }]);
});

test("Intake leaves clients in the queue while there is no room", { skip }, async (t) => {
  let room = 2;
  const accepted: string[] = [];
  let next = Promise.withResolvers<void>();
  const intake = await makeIntake(t, {
    hasRoom: () => room > 0,
    onConnection(key, fd) {
      closeSync(fd);
      room -= 1;
      accepted.push(key);
      next.resolve();
    },
    onFailure: assert.fail,
  });
  const socket = bind(t);
  assert.deepEqual(intake.listen([socket]), []);
  const clients = Array.from({ length: 5 }, () => net.connect(socket.port, "127.0.0.1"));
  await Promise.all(clients.map((client) => once(client, "connect")));
  intake.use([socket]);
  while (accepted.length < 2) {
    await next.promise;
    next = Promise.withResolvers();
  }
  assert.equal(room, 0);
  room = 10;
  intake.resume();
  while (accepted.length < 5) {
    await next.promise;
    next = Promise.withResolvers();
  }
  assert.equal(room, 7);
  for (const client of clients) client.destroy();
});

test("Intake goes on after a socket failed", { skip }, async (t) => {
  const failed = Promise.withResolvers<string>();
  const came = Promise.withResolvers<string>();
  const intake = await makeIntake(t, {
    hasRoom: () => true,
    onConnection(key, fd) {
      closeSync(fd);
      came.resolve(key);
    },
    onFailure: (bound, code) => failed.resolve(`${bound} ${code}`),
  });
  const socket = bind(t);
  // It never listened, which the poller reports and accept(2) refuses.
  const broken = bind(t);
  assert.deepEqual(intake.listen([socket]), []);
  intake.use([broken, socket]);
  assert.equal(await failed.promise, `${broken.bound} EINVAL`);
  const client = net.connect(socket.port, "127.0.0.1");
  assert.equal(await came.promise, socket.key);
  client.destroy();
});
