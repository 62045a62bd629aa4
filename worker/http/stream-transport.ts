// A connection over a socket of Node, in clear or through TLS.

import type { Socket } from "node:net";
import { discardRest } from "./linger.ts";
import { takenBytes } from "./pace.ts";
import type { Departure, Transport, TransportUser } from "./transport.ts";

/** On the socket itself, so that all connections share their listeners. */
const USER = Symbol("user");
type UsedSocket = Socket & { [USER]?: TransportUser | undefined };

const EMPTY = Buffer.alloc(0);

export class StreamTransport implements Transport {
  readonly #socket: UsedSocket;
  readonly #isEncrypted: boolean;
  /** Made once it is needed: most answers of a TCP connection leave at once. */
  #whenWritten: ((error?: Error | null) => void) | undefined;
  #onStall: (() => void) | undefined;

  constructor(socket: Socket, isEncrypted: boolean) {
    this.#socket = socket;
    this.#isEncrypted = isEncrypted;
  }

  begin(user: TransportUser): void {
    const socket = this.#socket;
    socket[USER] = user;
    socket.on("error", ignore);
    socket.on("data", onData);
    socket.on("end", onEnd);
    socket.on("close", onClose);
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }
  get takenBytes(): number {
    return takenBytes(this.#socket);
  }
  get isWritable(): boolean {
    return this.#socket.writable;
  }

  write(bytes: Buffer): boolean {
    this.#put(bytes);
    return this.#isTaken();
  }

  writeAll(buffers: readonly Buffer[]): boolean {
    const lastAt = buffers.length - 1;
    this.#socket.cork();
    for (let at = 0; at < lastAt; at += 1) this.#socket.write(buffers[at] ?? EMPTY);
    this.#put(buffers[lastAt] ?? EMPTY);
    this.#socket.uncork();
    return this.#isTaken();
  }

  /** TLS never takes anything at once, so it is asked to tell; to ask each time would cost a tick for nothing. */
  #put(last: Buffer): void {
    if (this.#isEncrypted) this.#socket.write(last, (this.#whenWritten ??= this.#afterWrite()));
    else this.#socket.write(last);
  }

  #isTaken(): boolean {
    if (this.#isEncrypted) return false;
    if (this.#socket.writableLength === 0) return true;
    this.#socket.write(EMPTY, (this.#whenWritten ??= this.#afterWrite()));
    return false;
  }

  #afterWrite(): (error?: Error | null) => void {
    return (error) => {
      // The socket closes then, and that tells.
      if (!error) this.#socket[USER]?.onFlushed();
    };
  }

  /** A socket does not tell the client's end before these bytes, behind which it would not take them back for Node's parser. */
  giveBack(bytes: Buffer): void {
    this.#socket.pause();
    this.#socket.unshift(bytes);
  }

  replay(): boolean {
    if (this.#socket.readableLength === 0) return false;
    this.#socket.read();
    return true;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    if (this.#socket.isPaused()) this.#socket.resume();
  }

  /** Node's own timer knows of every byte that moves. */
  watchStall(ms: number, onStall?: () => void): void {
    if (this.#onStall) this.#socket.setTimeout(0, this.#onStall);
    this.#onStall = onStall;
    if (onStall) this.#socket.setTimeout(ms, onStall);
  }

  end(): void {
    this.#socket.end();
  }

  discard(): void {
    discardRest(this.#socket);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  leave(rest: Buffer): Departure | undefined {
    const socket = this.#socket;
    socket[USER] = undefined;
    socket.off("error", ignore);
    socket.off("data", onData);
    socket.off("end", onEnd);
    socket.off("close", onClose);
    if (socket.destroyed) return undefined;
    if (rest.length > 0) socket.unshift(rest);
    // Node's parser listens, which wakes no socket that was told to pause.
    if (socket.isPaused()) socket.resume();
    return { socket, readBefore: 0 };
  }
}

function onData(this: UsedSocket, chunk: Buffer): void {
  this[USER]?.receive(chunk);
}

function onEnd(this: UsedSocket): void {
  this[USER]?.receiveEnd();
}

function onClose(this: UsedSocket): void {
  this[USER]?.onClose();
}

function ignore(): void {}
