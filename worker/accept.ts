// A connection arrives on an inherited socket: it is counted, then handed to TLS or straight to HTTP.

import net from "node:net";
import type { WorkerListener } from "../ipc/messages.ts";
import type { Logger } from "../log/logger.ts";
import type { Counters } from "./counters.ts";
import type { Connection } from "./http/connection.ts";
import { plainAddress } from "./networks.ts";

/** Connections the kernel queues while all workers are busy. */
const BACKLOG = 4096;
/** Failures of accept(2), such as EMFILE, come by the thousand: one line says so each time. */
const COMPLAINT_MS = 1_000;

export type Acceptor = {
  /** Starts to listen; rejects with the error of listen(2), such as EADDRINUSE. */
  listen(): Promise<void>;
  /** Takes no more connections. The socket itself stays open in the supervisor. */
  close(): void;
};

/** Accepts on one listener; each connection goes to `onConnection` in clear or before its TLS handshake. */
export function createAcceptor(
  listener: WorkerListener,
  counters: Counters,
  log: Logger,
  onConnection: (socket: net.Socket) => void,
): Acceptor {
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    counters.openConnections += 1;
    socket.once("close", () => (counters.openConnections -= 1));
    onConnection(socket);
  });
  let complainedAt = -COMPLAINT_MS;
  // Without a listener the first client too many would end the worker.
  function complain(error: Error): void {
    if (performance.now() - complainedAt < COMPLAINT_MS) return;
    complainedAt = performance.now();
    log.error({ err: error }, `Cannot accept on "${listener.address}"`);
  }
  return {
    listen: () =>
      new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen({ fd: listener.fd, backlog: BACKLOG }, () => {
          server.off("error", reject);
          server.on("error", complain);
          resolve();
        });
      }),
    close: () => void server.close(),
  };
}

/** Whether the client has reset the connection already. A TCP socket has no peer then, and what it sent would pass for a unix client's. */
export function hasLeft(socket: net.Socket, listener: WorkerListener): boolean {
  return socket.remoteAddress === undefined && !listener.address.startsWith("unix:");
}

/** Names both ends; a TLS socket tells those of the connection below it. */
export function describeConnection(socket: net.Socket, listener: WorkerListener): Connection {
  return {
    listener: listener.address,
    remoteAddress: plainAddress(socket.remoteAddress),
    remotePort: socket.remotePort ?? 0,
    localAddress: plainAddress(socket.localAddress),
    localPort: socket.localPort ?? listener.port,
    secure: listener.secure,
  };
}
