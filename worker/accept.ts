// A connection arrives on an inherited socket: it is counted, its first bytes tell what it is where that is not settled by
// the port, then it is handed to TLS or straight to HTTP.

import { closeSync } from "node:fs";
import net from "node:net";
import type { WorkerListener } from "../ipc/messages.ts";
import type { Logger } from "../log/logger.ts";
import { createOpeningReader, type Opening } from "./client-hello.ts";
import type { Counters } from "./counters.ts";
import type { Connection, TlsSession } from "./http/connection.ts";
import { plainAddress } from "./networks.ts";
import { originOf, socketBelow } from "./proxy-arrival.ts";

/** Connections the kernel queues while all workers are busy. */
export const BACKLOG = 4096;
/** Failures of accept(2), such as EMFILE, come by the thousand: one line says so each time. */
const COMPLAINT_MS = 1_000;

/**
 * More connections would do. libuv keeps a descriptor to take and close those that cannot be had, so none spins here; it tells
 * only where it could not do that either (descriptor-watch.ts).
 */
const EXHAUSTED: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);

export type Acceptor = {
  /** Starts to listen, unless others accept for it; rejects with the error of listen(2), such as EADDRINUSE. */
  listen(): Promise<void>;
  /** Takes a connection that was accepted elsewhere; `onClosed` counts it when it has closed. */
  take(fd: number, onClosed: () => void): void;
  /** Accepts no more. The socket itself stays open in the supervisor. */
  close(): void;
};

/** Accepts on one listener; each connection goes to `onConnection` in clear or before its TLS handshake. */
export function createAcceptor(
  listener: WorkerListener,
  counters: Counters,
  log: Logger,
  onConnection: (socket: net.Socket) => void,
  onExhausted: () => void = () => {},
): Acceptor {
  // One for all connections.
  const countClosed = (): void => void (counters.openConnections -= 1);
  function admit(socket: net.Socket, onClosed: () => void): void {
    counters.worker.connectionsAccepted += 1;
    socket.on("close", onClosed);
    onConnection(socket);
  }
  function take(client: number, onClosed: () => void): void {
    const socket = openSocket(client);
    if (socket) admit(socket, onClosed);
    else onClosed();
  }
  const { fd } = listener;
  if (fd === undefined) return { listen: () => Promise.resolve(), take, close() {} };
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    counters.openConnections += 1;
    admit(socket, countClosed);
  });
  // Without a listener the first client too many would end the worker.
  const complain = createComplaints(listener, log, onExhausted);
  return {
    listen: () =>
      new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen({ fd, backlog: BACKLOG }, () => {
          server.off("error", reject);
          server.on("error", complain);
          resolve();
        });
      }),
    take,
    close: () => void server.close(),
  };
}

/** As a server of Node's opens what it accepts; the listener has passed TCP_NODELAY on. Undefined for what is no socket any more. */
function openSocket(fd: number): net.Socket | undefined {
  try {
    return new net.Socket({ fd, allowHalfOpen: true });
  } catch {
    closeSync(fd);
    return undefined;
  }
}

/** What is done about failures of accept(2). */
export function createComplaints(
  listener: WorkerListener,
  log: Logger,
  onExhausted: () => void,
): (error: NodeJS.ErrnoException) => void {
  let complainedAt = -COMPLAINT_MS;
  return (error) => {
    if (EXHAUSTED.has(error.code ?? "")) onExhausted();
    if (performance.now() - complainedAt < COMPLAINT_MS) return;
    complainedAt = performance.now();
    log.error({ err: error }, `Cannot accept on "${listener.address}"`);
  };
}

/** Reads until it is clear who connects, puts the bytes back and tells. A client that goes or stalls before that is cut. */
export function readOpening(
  socket: net.Socket,
  withinMs: number,
  done: (opening: Opening) => void,
): void {
  const reader = createOpeningReader();
  const chunks: Buffer[] = [];
  const cut = (): void => void socket.destroy();
  const timer = setTimeout(cut, withinMs);
  const stopWaiting = (): void => clearTimeout(timer);
  const take = (chunk: Buffer): void => {
    chunks.push(chunk);
    const opening = reader.push(chunk);
    if (!opening) return;
    stopWaiting();
    socket.pause();
    socket.off("data", take).off("end", cut).off("error", cut).off("close", stopWaiting);
    socket.unshift(chunks.length === 1 ? chunk : Buffer.concat(chunks));
    done(opening);
  };
  socket.on("data", take).on("end", cut).on("error", cut).on("close", stopWaiting);
}

/** Whether the client has reset the connection already. A TCP socket has no peer then, and what it sent would pass for a unix client's. */
export function hasLeft(socket: net.Socket, listener: WorkerListener): boolean {
  return socketBelow(socket).remoteAddress === undefined && !listener.address.startsWith("unix:");
}

/**
 * Names both ends; a TLS socket tells those of the connection below it, and a proxy that is believed the client behind it.
 * Without `tls` the client speaks in clear.
 */
export function describeConnection(
  socket: net.Socket,
  listener: WorkerListener,
  tls?: TlsSession,
): Connection {
  return new SocketConnection(socket, listener, tls);
}

type Place = { readonly address: string; readonly port: number };

/** The kernel is asked where it arrived when somebody wants to know; for most nobody does. */
class SocketConnection implements Connection {
  readonly listener: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly secure: boolean;
  readonly tls?: TlsSession;
  readonly #socket: net.Socket;
  #place: Place | undefined;
  readonly #listener: WorkerListener;

  constructor(socket: net.Socket, listener: WorkerListener, tls: TlsSession | undefined) {
    const origin = originOf(socket);
    this.listener = listener.address;
    this.#socket = socketBelow(socket);
    this.remoteAddress = origin?.remoteAddress ?? plainAddress(this.#socket.remoteAddress);
    this.remotePort = origin?.remotePort ?? this.#socket.remotePort ?? 0;
    this.secure = tls !== undefined;
    if (tls) this.tls = tls;
    this.#listener = listener;
  }

  get localAddress(): string {
    return this.#locate().address;
  }
  get localPort(): number {
    return this.#locate().port;
  }

  /** A socket that has closed does not know any more. */
  #locate(): Place {
    return (this.#place ??= {
      address: localAddressOf(this.#socket),
      port: this.#socket.localPort ?? this.#listener.port,
    });
  }
}

/** The address a client came to, as vhosts are chosen by. */
export function localAddressOf(socket: net.Socket): string {
  return plainAddress(socket.localAddress);
}
