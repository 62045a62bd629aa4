// A connection whose server side is a BareTransport, in clear or through TLS, for tests.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test, type TestContext } from "node:test";
import tls from "node:tls";
import { emptyWorkerCounters } from "../../../ipc/stats.ts";
import { createLogger } from "../../../log/logger.ts";
import { openOpenSsl } from "../../../posix/openssl.ts";
import { openPoller, READABLE } from "../../../posix/poller.ts";
import { BareConnection } from "../../../worker/bare-acceptor.ts";
import { BareTransport } from "../../../worker/http/bare-transport.ts";
import type { TransportUser } from "../../../worker/http/transport.ts";
import { createWheel, type Ringing } from "../../../worker/http/wheel.ts";
import { greet } from "../../../worker/tls-greeting.ts";
import { certificateMaker } from "../../helpers/certificates.ts";
import { recordsOf, type ClientRecords } from "../../helpers/tls-records.ts";

/** Writes down what it is told. */
export class Witness implements TransportUser {
  readonly told: string[] = [];
  onReceive: ((bytes: Buffer) => void) | undefined;
  receive(bytes: Buffer): void {
    this.told.push(bytes.toString("latin1"));
    this.onReceive?.(Buffer.from(bytes));
  }
  receiveEnd(): void {
    this.told.push("END");
  }
  onFlushed(): void {
    this.told.push("FLUSHED");
  }
  onClose(): void {
    this.told.push("CLOSE");
  }
  async until(what: string): Promise<void> {
    while (!this.told.includes(what)) await new Promise((resolve) => setImmediate(resolve));
  }
}

export type Pair = {
  /** A TLSSocket over TLS. */
  readonly client: net.Socket;
  /** What is below it. */
  readonly wire: net.Socket;
  readonly transport: BareTransport;
  readonly witness: Witness;
  readonly closed: () => number;
  /** For bytes of the client's own on the wire, over TLS, while it has sent nothing else. */
  readonly records?: ClientRecords;
};
export type MakePair = () => Promise<Pair>;

const skip = process.platform !== "linux" && "Bare descriptors are for Linux";

/** A test that runs in clear and through TLS. */
export function testBothWays(name: string, body: (make: MakePair) => Promise<void>): void {
  for (const way of ["in clear", "through TLS"] as const) {
    void test(`${name} ${way}`, { skip }, async (t) => {
      const context = way === "in clear" ? undefined : makeContext(t);
      if (context === null) return;
      await body(() => makePair(t, context));
    });
  }
}

/** A test of what is there through TLS alone. */
export function testThroughTls(
  name: string,
  body: (make: () => Promise<Pair & { readonly records: ClientRecords }>) => Promise<void>,
): void {
  void test(name, { skip }, async (t) => {
    const context = makeContext(t);
    if (context === null) return;
    await body(async () => {
      const { records, ...pair } = await makePair(t, context);
      assert.ok(records);
      return { ...pair, records };
    });
  });
}

/** Null where there is no openssl to make a certificate. */
function makeContext(t: TestContext): tls.SecureContext | null {
  const make = certificateMaker(t);
  if (!make) return null;
  const { cert, key } = make({ names: ["a.test"] });
  return tls.createSecureContext({ cert, key });
}

async function makePair(t: TestContext, context: tls.SecureContext | undefined): Promise<Pair> {
  const poller = await openPoller();
  assert.ok(poller);
  const bound = new net.BoundSocket({ host: "127.0.0.1", port: 0 });
  const fd = bound.fd();
  poller.listen(fd, 16);
  const arrived = new Promise<void>((resolve) =>
    poller.watch(fd, READABLE, { onEvents: () => resolve() }),
  );
  const { port } = bound.address();
  const wire = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  wire.on("error", () => {});
  await Promise.all([once(wire, "connect"), arrived]);
  poller.unwatch(fd);
  let closed = 0;
  const transport = new BareTransport(poller, poller.accept(fd), () => (closed += 1));
  const witness = new Witness();
  const secured = context && (await secure(wire, transport, context));
  const client = secured?.client ?? wire;
  transport.begin(witness);
  t.after(() => {
    client.destroy();
    transport.destroy();
    poller.stop();
    bound.close();
  });
  const records = secured && { records: secured.records };
  return { client, wire, transport, witness, closed: () => closed, ...records };
}

async function secure(
  wire: net.Socket,
  transport: BareTransport,
  secureContext: tls.SecureContext,
): Promise<{ readonly client: net.Socket; readonly records: ClientRecords }> {
  const openSsl = await openOpenSsl();
  assert.ok(openSsl);
  const context = openSsl.prepare(secureContext, ["http/1.1"]);
  const log = await createLogger({ name: "test", level: "silent" });
  const listener = { address: "test", fd: 0, port: 0, secure: true, vhosts: [], overrides: [] };
  const client = tls.connect({
    socket: wire,
    allowHalfOpen: true,
    rejectUnauthorized: false,
    ALPNProtocols: ["http/1.1"],
    ciphers: "TLS_AES_256_GCM_SHA384",
    minVersion: "TLSv1.3",
  } as tls.ConnectionOptions);
  client.on("error", () => {});
  const records = recordsOf(client);
  const shaken = new Promise<void>((resolve) =>
    greet(transport, new BareConnection(transport, listener, undefined), {
      openSsl,
      log,
      wheel: createWheel<Ringing>(1_000),
      counts: emptyWorkerCounters(),
      handshakeMs: 30_000,
      contextFor: () => context,
      onSecure: () => resolve(),
      onOther: () => assert.fail("There is no other way"),
    }),
  );
  await Promise.all([once(client, "secureConnect"), shaken]);
  assert.equal(transport.protocol, "http/1.1");
  return { client, records: records() };
}
