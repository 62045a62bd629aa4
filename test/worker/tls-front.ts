// A TLS front on a socket of its own for tests, and a client that tells what it came to.

import { once } from "node:events";
import net from "node:net";
import type { TestContext } from "node:test";
import tls from "node:tls";
import { globalShape } from "../../config/server.ts";
import { vhostShape } from "../../config/vhost.ts";
import { emptyWorkerCounters, type WorkerCounters } from "../../ipc/stats.ts";
import { createLogger } from "../../log/logger.ts";
import { createTlsFront } from "../../worker/tls.ts";
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

/** Starts a front that ends each connection with "hello" once it is secure. */
export async function startFront(t: TestContext, options: TlsFrontOptions): Promise<RunningFront> {
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
    log: await createLogger({ name: "test", level: "silent" }),
    counts: options.counts ?? emptyWorkerCounters(),
    handshakeMs: options.handshakeMs ?? PATIENCE_MS,
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
