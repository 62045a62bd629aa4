// How the bytes of a connection come and go, as the lane and HTTP/2 see it: over a socket of Node, or over a bare descriptor.

import type { Socket } from "node:net";

/** Who is told what happens. Never from within a call of the transport, except receive() from replay(). */
export interface TransportUser {
  /** Bytes have come; they may be overwritten when this returns. */
  receive(bytes: Buffer): void;
  /** The client has closed its side. */
  receiveEnd(): void;
  /** What write() could not get rid of has left. */
  onFlushed(): void;
  /** It has closed. */
  onClose(): void;
  /** Whether plugins are called from there. */
  readonly callsPlugins?: boolean;
}

export interface Transport {
  /** Has somebody told. */
  begin(user: TransportUser): void;
  readonly bytesRead: number;
  /** Bytes that the kernel has taken. */
  readonly takenBytes: number;
  readonly isWritable: boolean;
  /** Takes all of it. True when the kernel has it already; else onFlushed() tells. The bytes must not change any more. */
  write(bytes: Buffer): boolean;
  /** The same with several, in order. */
  writeAll(buffers: readonly Buffer[]): boolean;
  /** Bytes that came before their turn. No more are read until resume(). They must not change any more. */
  giveBack(bytes: Buffer): void;
  /** Hands out what was given back; false where there is nothing. */
  replay(): boolean;
  /** No more are read until resume(). */
  pause(): void;
  resume(): void;
  /** Tells when nothing that was written has moved for so long; without a function not any more. */
  watchStall(ms: number, onStall?: () => void): void;
  /** Closes our side once everything is written. */
  end(): void;
  /** The same, and whatever the client still sends is dropped, until it closes its side or has been silent for long, see linger.ts. */
  discard(): void;
  /** Cuts it. */
  destroy(): void;
  /** Gives the connection away: as a socket of Node, with bytes that nobody has acted on. Undefined where it has closed. */
  leave(rest: Buffer): Departure | undefined;
}

export type Departure = {
  readonly socket: Socket;
  /** Of bytesRead, what the socket does not count. */
  readonly readBefore: number;
};
