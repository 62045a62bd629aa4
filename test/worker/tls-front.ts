// A TLS front on a socket of its own for tests, and a client that tells what it came to.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test, type TestContext } from "node:test";
import tls from "node:tls";
import { globalShape } from "../../config/server.ts";
import { vhostShape } from "../../config/vhost.ts";
import { emptyWorkerCounters, type WorkerCounters } from "../../ipc/stats.ts";
import { createLogger } from "../../log/logger.ts";
import { openOpenSsl } from "../../posix/openssl.ts";
import { openPoller } from "../../posix/poller.ts";
import { createBareAcceptor } from "../../worker/bare-acceptor.ts";
import { createCounters } from "../../worker/counters.ts";
import type { BareTransport } from "../../worker/http/bare-transport.ts";
import { createWheel, type Ringing } from "../../worker/http/wheel.ts";
import { greet, toSocket, type GreetingOptions } from "../../worker/tls-greeting.ts";
import { createTlsFront, type TlsFront } from "../../worker/tls.ts";
import type { Pair } from "../helpers/certificates.ts";

export type TlsVhost = {
  readonly name: string;
  readonly pair: Pair;
  readonly ca?: string;
  /** More keys of the vhost, as in a file. */
  readonly keys?: Readonly<Record<string, unknown>>;
};

export type TlsFrontOptions = {
  readonly vhosts: readonly TlsVhost[];
  /** Vhosts, by number, that answer on one local address alone. */
  readonly overrides?: readonly { readonly address: string; readonly vhosts: readonly number[] }[];
  readonly global?: Readonly<Record<string, unknown>>;
  readonly handshakeMs?: number;
  readonly ticketSecret?: Uint8Array;
  readonly counts?: WorkerCounters;
};

export type RunningFront = {
  readonly port: number;
  /** What clients sent in clear. */
  readonly texts: readonly string[];
};

const PATIENCE_MS = 30_000;

/** What connections are made of: a descriptor and OpenSSL, or TLSSocket. */
type Way = "descriptors" | "TLSSocket";
type Start = (t: TestContext, options: TlsFrontOptions) => Promise<RunningFront>;

/** A test of both ways that connections take through TLS. */
export function testBothWays(
  name: string,
  body: (t: TestContext, start: Start) => Promise<void>,
): void {
  for (const way of ["descriptors", "TLSSocket"] as const)
    void test(`${name} (${way})`, (t) =>
      body(t, (context, options) => startFront(context, options, way)));
}

/** Starts a front that ends each connection with "hello" once it is secure. */
async function startFront(
  t: TestContext,
  options: TlsFrontOptions,
  way: Way,
): Promise<RunningFront> {
  const openSsl = way === "descriptors" ? await openOpenSsl() : undefined;
  const counts = options.counts ?? emptyWorkerCounters();
  const handshakeMs = options.handshakeMs ?? PATIENCE_MS;
  const log = await createLogger({ name: "test", level: "silent" });
  const texts: string[] = [];
  const overrides = options.overrides ?? [];
  const apart = new Set(overrides.flatMap((override) => override.vhosts));
  const front = createTlsFront({
    listener: {
      address: "test",
      fd: 0,
      port: 443,
      secure: true,
      vhosts: options.vhosts.map((_, index) => index).filter((index) => !apart.has(index)),
      overrides,
    },
    config: {
      directory: "/",
      files: [],
      global: globalShape.parse(options.global ?? {}),
      vhosts: options.vhosts.map(({ name, keys }) => ({
        ...vhostShape.parse({ name, port: 443, ...keys }),
        mounts: [],
        "ws-protocols": [],
        where: { file: "conf", path: "vhosts[0]" },
      })),
    },
    secrets: options.vhosts.map(({ pair, ca }, vhost) => ({
      vhost,
      cert: Buffer.from(pair.cert),
      key: Buffer.from(pair.key),
      ca: ca === undefined ? undefined : Buffer.from(ca),
      ocsp: undefined,
    })),
    ticketSecret: options.ticketSecret ?? Buffer.alloc(32, 1),
    log,
    counts,
    openSsl,
    handshakeMs,
    onSecure(socket) {
      socket.on("error", () => {});
      socket.end("hello");
    },
    onText(socket) {
      socket.once("data", (chunk: Buffer) => {
        texts.push(chunk.toString());
        socket.end("text");
      });
      socket.resume();
    },
  });
  if (openSsl) {
    const port = await acceptBare(t, front, { openSsl, counts, handshakeMs, log });
    return { port, texts };
  }
  const open = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    front.adopt(socket);
  });
  server.listen(0, "0.0.0.0");
  await once(server, "listening");
  t.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return { port: (server.address() as net.AddressInfo).port, texts };
}

/** Says "hello" as soon as it may. */
async function acceptBare(
  t: TestContext,
  front: TlsFront,
  options: Pick<GreetingOptions, "openSsl" | "counts" | "handshakeMs" | "log">,
): Promise<number> {
  const poller = await openPoller();
  assert.ok(poller);
  const bound = new net.BoundSocket({ host: "0.0.0.0", port: 0 });
  const { port } = bound.address();
  const listener = {
    address: "test",
    fd: bound.fd(),
    port,
    secure: true,
    vhosts: [],
    overrides: [],
  };
  const open = new Set<{ destroy(): void }>();
  const wheel = createWheel<Ringing>(20);
  const acceptor = createBareAcceptor(
    listener,
    createCounters(),
    options.log,
    poller,
    (...arrival) => {
      const [transport, connection] = arrival;
      open.add(transport);
      transport.onceClosed(() => open.delete(transport));
      greet(transport, connection, {
        ...options,
        wheel,
        contextFor: (...asked) => front.contextFor(...asked),
        onSecure: sayHello,
        onOther() {
          const socket = toSocket(transport);
          if (!socket) return;
          open.add(socket);
          front.adopt(socket);
        },
      });
    },
  );
  await acceptor.listen();
  t.after(() => {
    for (const connection of open) connection.destroy();
    acceptor.close();
    poller.stop();
    wheel.stop();
    bound.close();
  });
  return port;
}

function sayHello(transport: BareTransport): void {
  transport.begin({
    receive() {},
    receiveEnd: () => transport.end(),
    onFlushed() {},
    onClose() {},
  });
  transport.write(Buffer.from("hello"));
  transport.end();
}

export type Handshake = {
  /** Common name of the certificate that was shown. */
  readonly certificate: string;
  readonly version: string | null;
  readonly cipher: string;
  readonly group: string | undefined;
  readonly alpn: string | false | null;
  readonly isResumed: boolean;
  readonly chain: readonly string[];
  readonly session: Buffer | undefined;
};

/** One handshake. Rejects with the error that ended it. */
export async function shakeHands(
  port: number,
  options: tls.ConnectionOptions = {},
): Promise<Handshake> {
  const socket = tls.connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options });
  let session: Buffer | undefined;
  socket.on("session", (found) => (session = found));
  await once(socket, "secureConnect");
  const shown = socket.getPeerCertificate(true);
  const chain: string[] = [];
  for (
    let at: tls.DetailedPeerCertificate | undefined = shown;
    at && !chain.includes(nameOf(at));
    at = at.issuerCertificate
  )
    chain.push(nameOf(at));
  const key = socket.getEphemeralKeyInfo();
  const handshake = {
    certificate: chain[0] ?? "",
    version: socket.getProtocol(),
    cipher: socket.getCipher().name,
    group: key && "name" in key ? key.name : undefined,
    alpn: socket.alpnProtocol,
    isResumed: socket.isSessionReused(),
    chain,
  };
  // A ticket of TLS 1.3 comes behind the handshake, so all is read before the end.
  socket.resume();
  await once(socket, "close");
  return { ...handshake, session };
}

function nameOf(certificate: tls.DetailedPeerCertificate): string {
  return String(certificate.subject?.CN ?? "");
}
