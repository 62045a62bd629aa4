// Where a connection goes that was let in: TLS or clear by the port, then HTTP, or a protocol that takes what is not HTTP.

import type net from "node:net";
import type { Configuration, WorkerListener } from "../ipc/messages.ts";
import type { Logger } from "../log/logger.ts";
import type { OpenSsl } from "../posix/openssl.ts";
import type { BarePass } from "./admission.ts";
import { describeConnection, hasLeft, localAddressOf } from "./accept.ts";
import type { Counters } from "./counters.ts";
import type { TlsSession } from "./http/connection.ts";
import type { Ringing, Wheel } from "./http/wheel.ts";
import type { Fronts } from "./fronts.ts";
import { refusePlainText } from "./plain-on-tls.ts";
import { rawMode, sniffHttp, type RawTable } from "./raw.ts";
import type { Router } from "./router.ts";
import { greet, toSocket, type GreetingOptions } from "./tls-greeting.ts";
import { createTlsFront, type TlsFront } from "./tls.ts";
import { takesClear } from "./vhost-faces.ts";

const MS_PER_SEC = 1_000;

export type ArrivalOptions = {
  readonly configuration: Configuration;
  readonly counters: Counters;
  readonly log: Logger;
  readonly front: Fronts;
  readonly router: Router;
  readonly raw: RawTable;
  readonly openSsl: OpenSsl | undefined;
  /** For handshakes. */
  readonly wheel: Wheel<Ringing>;
};

export type Arrivals = {
  /** Takes a connection that was let in. */
  take(socket: net.Socket): void;
  /** The same for one that is no socket of Node, where connections are HTTP and nothing else. */
  readonly takeBare?: BarePass;
  /** What speaks TLS on this listener. */
  readonly tls: TlsFront | undefined;
};

/** Decides about the connections of one listener. */
export function createArrivals(listener: WorkerListener, options: ArrivalOptions): Arrivals {
  const { configuration, counters, log, front, router, raw, openSsl, wheel } = options;
  const { config } = configuration;
  const withinMs = config.global["timeout-secs"] * MS_PER_SEC;
  const firsts = [listener, ...listener.overrides].flatMap(({ vhosts }) => vhosts.slice(0, 1));
  const isRaw = firsts.some((index) => config.vhosts[index]?.["listen-accept-protocol"]);

  /** HTTP, or raw where the listener's first vhost says so. */
  function adopt(socket: net.Socket, session?: TlsSession): void {
    if (hasLeft(socket, listener)) return void socket.destroy();
    if (isRaw) adoptEither(socket, session);
    else front.adopt(socket, describeConnection(socket, listener, session));
  }

  function adoptEither(socket: net.Socket, session: TlsSession | undefined): void {
    const connection = describeConnection(socket, listener, session);
    const vhost = router.find(listener.address, connection.localAddress, undefined);
    const mode = rawMode(vhost);
    if (mode === "all") raw.adopt(socket, connection, vhost);
    else if (mode === undefined) front.adopt(socket, connection);
    else
      sniffHttp(socket, withinMs, (isHttp) => {
        if (!isHttp) return raw.adopt(socket, connection, vhost);
        front.adopt(socket, connection);
        socket.resume();
      });
  }

  if (!listener.secure)
    return {
      take: (socket) => adopt(socket),
      ...(!isRaw && { takeBare: (...arrival) => front.adoptBare(...arrival) }),
      tls: undefined,
    };

  // One for all connections.
  const countClosed = (): void => void (counters.openTls -= 1);
  const plain = { router, counters, serverString: config.global["server-string"] };
  const indexes = [listener, ...listener.overrides].flatMap(({ vhosts }) => vhosts);
  const isClearTaken = indexes.some((index) => {
    const vhost = config.vhosts[index];
    return vhost && takesClear(vhost);
  });
  function takeHttpInClear(socket: net.Socket): void {
    // Which vhost is meant takes a whole request to know. Where none takes any, not one is read.
    const connection = describeConnection(socket, listener);
    if (isClearTaken) {
      front.adopt(socket, connection);
      // It was paused when it was clear what it is.
      socket.resume();
    } else refusePlainText(socket, connection, plain);
  }

  const tls = createTlsFront({
    listener,
    config,
    secrets: configuration.secrets,
    ticketSecret: configuration.ticketSecret,
    log,
    handshakeMs: withinMs,
    openSsl,
    counts: counters.worker,
    onSecure(socket, session) {
      counters.openTls += 1;
      socket.once("close", countClosed);
      adopt(socket, session);
    },
    onText(socket) {
      if (hasLeft(socket, listener)) return void socket.destroy();
      const vhost = router.find(listener.address, localAddressOf(socket), undefined);
      if (!vhost.config["allow-non-tls"] || rawMode(vhost) !== "fallback")
        return takeHttpInClear(socket);
      sniffHttp(socket, withinMs, (isHttp) => {
        if (isHttp) takeHttpInClear(socket);
        else raw.adopt(socket, describeConnection(socket, listener), vhost);
      });
    },
  });
  function take(socket: net.Socket): void {
    if (hasLeft(socket, listener)) socket.destroy();
    else tls.adopt(socket);
  }
  if (!openSsl || isRaw) return { tls, take };
  const greeting: GreetingOptions = {
    openSsl,
    log,
    wheel,
    handshakeMs: withinMs,
    counts: counters.worker,
    contextFor: (localAddress, serverName) => tls.contextFor(localAddress, serverName),
    onSecure(transport, connection) {
      counters.openTls += 1;
      transport.onceClosed(countClosed);
      front.adoptBare(transport, connection);
    },
    onOther(transport) {
      const socket = toSocket(transport);
      if (socket) take(socket);
    },
  };
  return {
    tls,
    take,
    takeBare: (transport, connection) => greet(transport, connection, greeting),
  };
}
