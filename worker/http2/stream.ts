// One stream: its two directions, its two windows, and what waits to be sent on it (RFC 9113 5.1, 5.2). The connection reads
// and schedules; a stream only knows how far it is.

import type { Readable } from "node:stream";
import { flag, frameType, MAX_FRAME_BYTES, type ErrorName } from "./frame.ts";
import type { FrameWriter } from "./frame-writer.ts";
import type { EncodedBlock } from "./hpack-encoder.ts";
import type { Output } from "./output.ts";
import { DEFAULT_PRIORITY, type Priority } from "./priority.ts";
import type { Patience } from "./patience.ts";

/** What a stream needs of its connection. */
export type StreamOwner = {
  readonly output: Output;
  /** The stream has something to send. */
  schedule(stream: Stream): void;
  /** Something was put out and must leave soon. */
  wake(): void;
  readonly writer: FrameWriter;
  /** Our side is complete. */
  onSent(stream: Stream): void;
  reset(stream: Stream, code: ErrorName): void;
};

/** What a stream needs of the exchange that it carries. */
export type StreamExchange = {
  readonly awaitsBody: boolean;
  cutStalled(): void;
  /** Everything has been taken by the kernel. */
  taken(): void;
  /** The stream or the connection is gone. */
  lose(): void;
};

/** Who takes what the client sends. */
export type StreamReader = Readable & {
  /** Somebody waits for more. */
  readonly isWanted: boolean;
  /** Returns how many tiny pieces came since somebody read. */
  receive(chunk: Buffer): number;
  complete(): void;
};

export class Stream {
  readonly id: number;
  readonly #owner: StreamOwner;
  exchange: StreamExchange | undefined;
  tunnel: StreamReader | undefined;
  body: StreamReader | undefined;
  priority: Priority = DEFAULT_PRIORITY;

  /** What the client may still be sent, and what it may still send. */
  sendWindow: number;
  receiveWindow: number;
  /** What was read of it and not given back yet. */
  readBytes = 0;
  /** The client has ended its side. */
  isRemoteDone = false;
  /** We have, or the stream was reset by either. */
  isLocalDone = false;
  isReset = false;
  /** Content-Length, and what has come of it. */
  announcedBytes: number | undefined;
  receivedBytes = 0;
  /** Body bytes the client has been sent. */
  sentBytes = 0;
  /** When the answer was complete though the request was not. */
  answeredAt = 0;
  /** For the client to send, and to take. */
  bodyPatience: Patience | undefined;
  sendPatience: Patience | undefined;

  /** A piece of the body that waits for windows. */
  pending: Uint8Array | undefined;
  pendingAt = 0;
  #taken: ((error?: Error | null) => void) | undefined;
  endsAfterPending = false;

  constructor(id: number, owner: StreamOwner, sendWindow: number, receiveWindow: number) {
    this.id = id;
    this.#owner = owner;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
  }

  get pendingBytes(): number {
    return this.pending ? this.pending.length - this.pendingAt : 0;
  }

  putHead(block: EncodedBlock, ends: boolean): void {
    if (this.isLocalDone) return;
    this.#owner.writer.fields(this.id, block, ends);
    if (ends) this.#owner.onSent(this);
    this.#owner.wake();
  }

  /** 100 or 103, before the answer. */
  putInterim(block: EncodedBlock): void {
    if (this.isLocalDone) return;
    this.#owner.writer.fields(this.id, block, false);
    this.#owner.wake();
  }

  write(chunk: Uint8Array, taken: (error?: Error | null) => void): void {
    if (this.isLocalDone) return taken(new Error("The stream is closed"));
    this.pending = chunk;
    this.pendingAt = 0;
    this.#taken = taken;
    this.#owner.schedule(this);
  }

  end(): void {
    this.endsAfterPending = true;
    if (!this.isLocalDone) this.#owner.schedule(this);
  }

  /** Sends all of a body and ends. */
  endWith(body: Uint8Array): void {
    if (this.isLocalDone) return;
    this.pending = body;
    this.pendingAt = 0;
    this.endsAfterPending = true;
    this.#owner.schedule(this);
  }

  reset(code: ErrorName): void {
    this.#owner.reset(this, code);
  }

  /** Puts out one frame of what waits, as much as both windows allow; returns its bytes. */
  putPiece(output: Output, connectionWindow: number): number {
    const { pending, pendingAt } = this;
    const left = this.pendingBytes;
    const count = Math.min(left, MAX_FRAME_BYTES, connectionWindow, this.sendWindow);
    const isLast = count === left;
    const ends = isLast && this.endsAfterPending;
    output.frame(frameType.data, ends ? flag.endStream : 0, this.id, count, left - count);
    if (pending) output.bytes(pending, pendingAt, pendingAt + count);
    this.pendingAt += count;
    this.sendWindow -= count;
    this.sentBytes += count;
    if (isLast) this.pending = undefined;
    if (ends) this.#owner.onSent(this);
    if (isLast) this.#tellTaken();
    return count;
  }

  /** Nothing more will leave. */
  discard(): void {
    this.pending = undefined;
    this.#tellTaken(new Error("The stream is closed"));
  }

  #tellTaken(error?: Error): void {
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.(error);
  }
}
