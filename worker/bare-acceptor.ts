// Accepts on a listener whose connections are HTTP, in clear or through TLS: they stay bare descriptors until somebody needs more.

import { closeSync, openSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import type { WorkerListener } from "../ipc/messages.ts";
import type { Logger } from "../log/logger.ts";
import {
  EAGAIN,
  EMFILE,
  ENFILE,
  PASSING_ACCEPT_ERRORS,
  READABLE,
  type Polled,
  type Poller,
} from "../posix/poller.ts";
import type { SocketPlace } from "../posix/socket-place.ts";
import { BACKLOG, createComplaints, type Acceptor } from "./accept.ts";
import type { Counters } from "./counters.ts";
import { BareTransport } from "./http/bare-transport.ts";
import type { Connection, TlsSession } from "./http/connection.ts";
import { plainAddress } from "./networks.ts";

/** Taken at most in one turn; the other workers may have the others. */
const MAX_ACCEPTS = 16;
/** What cannot be had is taken and closed, up to so many at once, so that the listener does not wake us for ever. */
const REFUSALS_AT_ONCE = 256;
/** Where clients can neither be had nor turned away they wait; to be told of them all that time would be of no use. */
const REST_MS = 100;

/** As createAcceptor(); each connection comes with what is known of it. */
export function createBareAcceptor(
  listener: WorkerListener,
  counters: Counters,
  log: Logger,
  poller: Poller,
  onConnection: (transport: BareTransport, connection: BareConnection) => void,
  onExhausted: () => void = () => {},
): Acceptor {
  const { fd } = listener;
  function admit(client: number, place: SocketPlace, onClosed: () => void): void {
    counters.worker.connectionsAccepted += 1;
    const transport = new BareTransport(poller, client, onClosed);
    onConnection(transport, new BareConnection(transport, listener, place));
  }
  function take(client: number, onClosed: () => void): void {
    const place = poller.remotePlace(client);
    if (place || listener.address.startsWith("unix:")) return admit(client, place, onClosed);
    // It has reset the connection already, and what it sent would pass for a unix client's.
    poller.close(client);
    onClosed();
  }
  if (fd === undefined) return { listen: () => Promise.resolve(), take, close() {} };
  const listening: number = fd;
  const complain = createComplaints(listener, log, onExhausted);
  const countClosed = (): void => void (counters.openConnections -= 1);
  /** Given up for a moment to take and close clients when there is no descriptor left. */
  let reserve = -1;
  let isListening = false;
  let rest: NodeJS.Timeout | undefined;
  /** To hear that nobody else is there costs as much as to take somebody, so each round takes one, and more only while round after round has one. */
  let accepts = 1;
  let round = -Infinity;

  /** False where that cannot be done either. */
  function turnAway(): boolean {
    if (reserve >= 0) closeSync(reserve);
    for (let refused = 0; refused < REFUSALS_AT_ONCE; refused += 1) {
      const client = poller.accept(listening);
      if (client < 0) break;
      poller.close(client);
    }
    reserve = openReserve();
    return reserve >= 0;
  }

  function takeRest(): void {
    poller.unwatch(listening);
    rest = setTimeout(() => poller.watch(listening, READABLE, door), REST_MS);
  }

  const door: Polled = {
    onEvents() {
      // It may be told again before the round is over.
      accepts = poller.round <= round + 1 ? Math.min(2 * accepts, MAX_ACCEPTS) : 1;
      ({ round } = poller);
      for (let taken = 0; taken < accepts && isListening; taken += 1) {
        const client = poller.accept(listening);
        if (client < 0) {
          // Another worker has it.
          if (client === -EAGAIN) return;
          const error = systemError(client, "accept");
          if (PASSING_ACCEPT_ERRORS.has(error.code)) continue;
          const isFull = client === -EMFILE || client === -ENFILE;
          if (!isFull || !turnAway()) takeRest();
          return complain(error);
        }
        counters.openConnections += 1;
        admit(client, poller.peer(), countClosed);
      }
    },
  };

  return {
    take,
    listen() {
      const result = poller.listen(listening, BACKLOG);
      if (result < 0) return Promise.reject(systemError(result, "listen"));
      reserve = openReserve();
      isListening = true;
      poller.watch(listening, READABLE, door);
      return Promise.resolve();
    },
    close() {
      if (!isListening) return;
      isListening = false;
      clearTimeout(rest);
      // The supervisor and the other workers have it open still, so that closing it would leave it on the epoll instance: every
      // client that waits for one of them would wake us.
      poller.unwatch(listening);
      poller.close(listening);
      if (reserve >= 0) closeSync(reserve);
    },
  };
}

function openReserve(): number {
  try {
    return openSync("/dev/null", "r");
  } catch {
    return -1;
  }
}

/** In the form of Node's. */
function systemError(negative: number, syscall: string): Error & { code: string } {
  const code = getSystemErrorName(negative);
  return Object.assign(new Error(`${syscall} ${code}`), { code, errno: negative, syscall });
}

export class BareConnection implements Connection {
  readonly listener: string;
  secure = false;
  tls?: TlsSession;
  readonly #transport: BareTransport;
  readonly #port: number;
  readonly #remote: SocketPlace;
  #remoteAddress: string | undefined;
  #local: { readonly address: string; readonly port: number } | undefined;

  constructor(transport: BareTransport, listener: WorkerListener, place: SocketPlace) {
    this.listener = listener.address;
    this.#remote = place;
    this.#transport = transport;
    this.#port = listener.port;
  }

  /** The handshake is done. */
  settleTls(session: TlsSession): void {
    this.secure = true;
    this.tls = session;
  }

  get remoteAddress(): string {
    return (this.#remoteAddress ??= plainAddress(this.#remote?.address));
  }
  get remotePort(): number {
    return this.#remote?.port ?? 0;
  }
  get localAddress(): string {
    return this.#locate().address;
  }
  get localPort(): number {
    return this.#locate().port;
  }

  /** A descriptor that is closed does not know any more. */
  #locate(): { readonly address: string; readonly port: number } {
    if (this.#local) return this.#local;
    const place = this.#transport.localPlace();
    return (this.#local = {
      address: plainAddress(place?.address),
      port: place?.port ?? this.#port,
    });
  }
}
