// All that a protocol plugin sees of Portico. Plugins import this file and config/shape.ts, nothing else.

import type { Duplex } from "node:stream";
import type { Board, BoardHistory } from "../ipc/board.ts";
import type { Logger } from "../log/logger.ts";
import type { ClientCertificate } from "./http/connection.ts";
import type { ByteString, Exchange } from "./http/exchange.ts";

export type { ClientCertificate } from "./http/connection.ts";
export { readForm, type FormFile, type FormLimits } from "./form.ts";
export { HttpError, type Exchange } from "./http/exchange.ts";
export type { Board, BoardHistory, BoardMount, BoardVhost } from "../ipc/board.ts";

/** One WebSocket connection. */
export interface Peer<Data = unknown> {
  /** Unique over all workers and generations of this server. */
  readonly id: string;
  readonly address: string;
  readonly userAgent: string;
  /** Request target of the upgrade, path and query as sent. */
  readonly target: ByteString;
  /** The certificate it proved to own, where the vhost asks for one. */
  readonly client: ClientCertificate | undefined;
  /** Whose password was right, of the protocol or else of the mount whose path it asked for; undefined where neither has one. */
  readonly user: ByteString | undefined;
  readonly openedAt: Date;
  /** The protocol's own slot. */
  data: Data;
  /** Queues one message: text for a string, binary for bytes. False when it was not queued, because the peer is too slow or gone. */
  send(message: string | Uint8Array): boolean;
  /** Starts the closing handshake: codes of RFC 6455 7.4 and 3000-4999, a reason of at most 123 bytes. */
  close(code?: number, reason?: string): void;
}

/** One connection that does not speak HTTP. */
export type RawConnection = {
  /** Unique over all workers and generations of this server. */
  readonly id: string;
  readonly address: string;
  /** Over TLS, which ends here. */
  readonly secure: boolean;
  /** Both directions; half-open until both are ended. What was read before is still to come out of it. Errors are heard of as its close. */
  readonly stream: Duplex;
};

/** Topics shared by all workers and generations, and by other machines where "bus" of "global" says so. At most once; in order per publisher. */
export interface Bus {
  /** Reaches every other subscriber of the topic in this vhost and protocol, not the publisher itself. */
  publish(topic: string, message: Uint8Array | string): void;
  /** `from` names the publishing worker. Returns the way to unsubscribe. */
  subscribe(topic: string, listener: (message: Buffer, from: number) => void): () => void;
  /** Calls back when a worker has gone, so what it announced can be forgotten. */
  onDeparture(listener: (worker: number) => void): () => void;
  /** Calls back when the workers of another machine can be heard that could not be before, or not without a gap, so they can be asked for what they announced earlier. */
  onArrival(listener: () => void): () => void;
}

/**
 * Small values that this protocol has in common over all workers and generations of the vhost, until the server ends.
 * Of changes made at the same time the last to reach the supervisor holds everywhere. At most 1,000 keys of 256 bytes, values of 64 KiB.
 */
export interface Store {
  get(key: string): Buffer | undefined;
  keys(): Iterable<string>;
  /** Holds here at once. Throws RangeError beyond a limit. */
  set(key: string, value: string | Uint8Array): void;
  delete(key: string): void;
  /** Calls back for every change, also for those made here. Returns the way to stop. */
  onChange(listener: (key: string, value: Buffer | undefined) => void): () => void;
}

export type ProtocolContext = {
  readonly vhost: { readonly name: string; readonly port: number; readonly secure: boolean };
  /** The configuration directory: what relative paths in options start at. */
  readonly directory: string;
  /** Version of this server, as status protocols show it. */
  readonly version: string;
  /** This worker, unique while the server runs. */
  readonly worker: number;
  readonly log: Logger;
  /**
   * Adds to a counter of the protocol's own, 1 unless told otherwise: the statistics show its sum over all workers and generations.
   * Throws RangeError for a name that is not lower-case letters, digits and "_", for the 33rd name, and for less than 0.
   */
  readonly count: (name: string, by?: number) => void;
  readonly bus: Bus;
  readonly store: Store;
  /** The supervisor's statistics, about once a second while anybody watches. Vhosts and mounts that did not change are the same objects as before. Returns the way to stop. */
  readonly watchBoard: (listener: (board: Board) => void) => () => void;
  /** What was counted before. */
  readonly readHistory: () => Promise<BoardHistory>;
  /** Repeats until the vhost stops or the returned function is called. */
  readonly every: (ms: number, action: () => void) => () => void;
};

/** What start() returns: a protocol running on one vhost in one worker. */
export interface ProtocolInstance<Data = unknown> {
  open?(peer: Peer<Data>): void;
  message?(peer: Peer<Data>, message: Buffer, isBinary: boolean): void;
  close?(peer: Peer<Data>, code: number, reason: string): void;
  /** A request of a callback:// mount; `rest` as in Mount.handle, `pmo` the mount's options. */
  request?(
    exchange: Exchange,
    rest: ByteString,
    pmo: Readonly<Record<string, unknown>>,
  ): void | Promise<void>;
  /** Sees each request of a mount that names this protocol as its second origin, or leads to it by "interceptor-path", before it is served; true when it has answered. Leaves the body alone unless it answers. */
  intercept?(
    exchange: Exchange,
    rest: ByteString,
    pmo: Readonly<Record<string, unknown>>,
  ): boolean | Promise<boolean>;
  /** A connection that "listen-accept-protocol" of the vhost sends here. From here on it is the protocol's; it is cut when the vhost ends. */
  raw?(connection: RawConnection): void;
  stop?(): void;
}

/** Decodes options; shapes come from config/shape.ts. Throws on a mismatch. */
export interface OptionsShape<Options> {
  parse(value: unknown): Options;
}

/** What happens to a peer that does not read as fast as it is sent to. */
export type SendQueue = {
  /** What may wait for it, bytes; default 1 MiB. */
  readonly maxBytes?: number;
  /** "close" (the default) ends it with 1013; "drop" forgets the new message; "newest" lets one message wait at most, which a newer one replaces. */
  readonly whenFull?: "close" | "drop" | "newest";
};

export interface ProtocolDefinition<Options = unknown, Data = unknown> {
  /** Name in "ws-protocols" and in Sec-WebSocket-Protocol. */
  readonly name: string;
  readonly options?: OptionsShape<Options>;
  /** Largest message taken from a peer, bytes; default 1 MiB. A longer one closes with 1009. */
  readonly maxMessageBytes?: number;
  readonly sendQueue?: SendQueue;
  /** Once per vhost and worker, before any traffic. */
  start(context: ProtocolContext, options: Options): ProtocolInstance<Data>;
}

/** Declares a protocol plugin: the default export of a file in plugins/ or in a plugin-dir. */
export function defineProtocol<Options, Data>(
  definition: ProtocolDefinition<Options, Data>,
): ProtocolDefinition<Options, Data> {
  return definition;
}
