// OpenSSL called past TLSSocket: what a connection was made with outlives everything that Node knows of it.

import assert from "node:assert/strict";
import { Certificate } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import { test, type TestContext } from "node:test";
import tls from "node:tls";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { openOpenSsl, type OpenSsl, type TlsLine } from "../../posix/openssl.ts";
import { openPoller, READABLE, type Poller } from "../../posix/poller.ts";
import { certificateMaker, type Pair } from "../helpers/certificates.ts";

const CONNECTIONS = 20;
const skip = process.platform !== "linux" && "Bare descriptors are for Linux";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

type Door = {
  readonly poller: Poller;
  readonly openSsl: OpenSsl;
  readonly listening: number;
  readonly port: number;
};

async function openDoor(t: TestContext): Promise<Door> {
  const [poller, openSsl] = [await openPoller(), await openOpenSsl()];
  assert.ok(poller && openSsl);
  const bound = new net.BoundSocket({ host: "127.0.0.1", port: 0 });
  const listening = bound.fd();
  poller.listen(listening, CONNECTIONS);
  t.after(() => {
    poller.stop();
    bound.close();
  });
  return { poller, openSsl, listening, port: bound.address().port };
}

/** When the poller tells of it for the first time. */
async function readable(poller: Poller, fd: number): Promise<void> {
  await new Promise<void>((resolve) => poller.watch(fd, READABLE, { onEvents: () => resolve() }));
  poller.unwatch(fd);
}

/** Nobody but the line remembers its context. */
function openLine(openSsl: OpenSsl, { cert, key }: Pair, fd: number): TlsLine {
  const made = tls.createSecureContext({ cert, key, ticketKeys: Buffer.alloc(48, 1) });
  const context = openSsl.prepare(made, ["http/1.1"]);
  assert.ok(context);
  return openSsl.open(context, fd);
}

/** A connection with a context of its own. */
async function connect(
  door: Door,
  pair: Pair,
): Promise<{ readonly client: tls.TLSSocket; readonly line: TlsLine; readonly fd: number }> {
  const { poller, openSsl, listening, port } = door;
  const client = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  await readable(poller, listening);
  const fd = poller.accept(listening);
  const line = openLine(openSsl, pair, fd);
  for (;;) {
    await readable(poller, fd);
    collect();
    const step = line.handshake();
    if (step === "done") return { client, line, fd };
    assert.equal(step, "read");
  }
}

test(
  "A connection keeps what it was made with alive: tickets are sealed, keys changed and bytes sent after a collection",
  { skip },
  async (t) => {
    const make = certificateMaker(t);
    if (!make) return;
    const door = await openDoor(t);
    const pair = make({ names: ["a.test"] });
    const open = [];
    for (let count = 0; count < CONNECTIONS; count += 1) open.push(await connect(door, pair));
    for (const { client, line, fd } of open) {
      collect();
      line.context.setTicketKeys(Buffer.alloc(48, 2));
      assert.equal(line.write(Buffer.from("hello")), 5);
      assert.equal(String((await once(client, "data"))[0]), "hello");
      assert.equal(line.end(), true);
      line.free();
      door.poller.close(fd);
      client.destroy();
    }
    collect();
  },
);

/** One of the few calls of Node that leave errors behind. */
function leaveErrors(): void {
  assert.equal(Certificate.verifySpkac("no SPKAC"), false);
}

test("A connection takes nobody else's errors for its own", { skip }, async (t) => {
  const make = certificateMaker(t);
  if (!make) return;
  const door = await openDoor(t);
  const { poller, openSsl, listening, port } = door;
  const client = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  t.after(() => client.destroy());
  await readable(poller, listening);
  const fd = poller.accept(listening);
  const line = openLine(openSsl, make({ names: ["a.test"] }), fd);
  const bytes = Buffer.alloc(16_384);
  for (let step = ""; step !== "done"; step = String(line.handshake())) {
    if (step !== "") assert.equal(step, "read");
    await readable(poller, fd);
    leaveErrors();
  }
  leaveErrors();
  assert.equal(line.read(bytes), -11);
  do leaveErrors();
  while (line.write(bytes) > 0);
  leaveErrors();
  assert.equal(line.end(), false, "the kernel takes nothing now");
  line.free();
  poller.close(fd);
});
