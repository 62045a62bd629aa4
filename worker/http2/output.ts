// What leaves a connection: frames are put one behind the other into buffers, and all that gathered leaves in one write.
// While the kernel has not taken one write there is no other.

import type { Transport } from "../http/transport.ts";
import type { ChunkPool } from "./chunk-pool.ts";
import { FRAME_HEADER_BYTES, frameType, type ErrorName, errorCode } from "./frame.ts";

/** Who wants to know that the kernel has it. */
export type Waiter = { taken(): void };

/** What is settled in the same turn of the event loop. */
const SMALL_BYTES = 64 * 1024;

export class Output {
  readonly #transport: Transport;
  readonly #pool: ChunkPool;
  /** Called when a write is done and the next may begin. */
  readonly #onTaken: () => void;
  #chunk: Buffer | undefined;
  #used = 0;
  /** Those before it, and how much is in each. */
  #full: Filled[] = [];
  /** Told when what is put in before now has been taken. */
  #waiting: Waiter[] = [];
  #waitingBytes = 0;
  /** The write that is on its way: its buffers, its bytes, and who waits for it. */
  #isWriting = false;
  #writingChunk: Buffer | undefined;
  #writingFull: Filled[] = [];
  #writingBytes = 0;
  #writingFor: Waiter[] = [];

  constructor(transport: Transport, pool: ChunkPool, onTaken: () => void) {
    this.#transport = transport;
    this.#pool = pool;
    this.#onTaken = onTaken;
  }

  /** Bytes the kernel has not taken. */
  get pendingBytes(): number {
    return this.#waitingBytes;
  }

  /** Begins a frame of `bytes`, which must follow; behind it come about `more` bytes of others. */
  frame(type: number, flags: number, stream: number, bytes: number, more = 0): void {
    const chunk = this.#room(FRAME_HEADER_BYTES, bytes + more);
    const at = this.#used;
    chunk[at] = bytes >> 16;
    chunk[at + 1] = bytes >> 8;
    chunk[at + 2] = bytes;
    chunk[at + 3] = type;
    chunk[at + 4] = flags;
    fillStream(chunk, at, stream);
    this.#advance(FRAME_HEADER_BYTES);
  }

  /** Copies frames whose stream is still open; the second begins at `second`, and behind them come `more` bytes. */
  frames(source: Buffer, stream: number, second: number | undefined, more: number): void {
    const chunk = this.#room(source.length, more);
    const at = this.#used;
    chunk.set(source, at);
    fillStream(chunk, at, stream);
    if (second !== undefined) fillStream(chunk, at + second, stream);
    this.#advance(source.length);
  }

  number32(value: number): void {
    const chunk = this.#room(4, 0);
    chunk.writeUInt32BE(value, this.#used);
    this.#advance(4);
  }

  number16(value: number): void {
    const chunk = this.#room(2, 0);
    chunk.writeUInt16BE(value, this.#used);
    this.#advance(2);
  }

  /** Copies a part of `source`. */
  bytes(source: Uint8Array, start: number, end: number): void {
    for (let from = start; from < end;) {
      const chunk = this.#room(1, end - from);
      const count = Math.min(end - from, chunk.length - this.#used);
      const isWhole = from === 0 && count === source.length;
      chunk.set(isWhole ? source : source.subarray(from, from + count), this.#used);
      this.#advance(count);
      from += count;
    }
  }

  windowUpdate(stream: number, increment: number): void {
    this.frame(frameType.windowUpdate, 0, stream, 4);
    this.number32(increment);
  }

  rstStream(stream: number, code: ErrorName): void {
    this.frame(frameType.rstStream, 0, stream, 4);
    this.number32(errorCode[code]);
  }

  goaway(lastStream: number, code: ErrorName, reason: string): void {
    const text = Buffer.from(reason, "latin1");
    this.frame(frameType.goaway, 0, 0, 8 + text.length);
    this.number32(lastStream);
    this.number32(errorCode[code]);
    this.bytes(text, 0, text.length);
  }

  /** Tells when everything up to now has been taken by the kernel; never, if the connection goes before. */
  whenTaken(waiter: Waiter): void {
    this.#waiting.push(waiter);
  }

  /** Writes what there is, unless a write is on its way; then it follows that. */
  flush(): void {
    if (this.#isWriting || this.#waitingBytes === 0) return;
    const transport = this.#transport;
    if (!transport.isWritable) return;
    const last = this.#chunk;
    const lastBytes = this.#used;
    this.#chunk = undefined;
    this.#used = 0;
    this.#isWriting = true;
    this.#writingBytes = this.#waitingBytes;
    this.#writingChunk = last;
    [this.#writingFor, this.#waiting] = [this.#waiting, this.#writingFor];
    const end = last?.subarray(0, lastBytes);
    let isTaken: boolean;
    if (this.#full.length === 0) isTaken = end === undefined || transport.write(end);
    else {
      [this.#writingFull, this.#full] = [this.#full, this.#writingFull];
      const buffers = this.#writingFull.map(({ chunk, used }) => chunk.subarray(0, used));
      isTaken = transport.writeAll(end ? [...buffers, end] : buffers);
    }
    if (!isTaken) return;
    // A client that takes everything at once must not keep the others waiting.
    if (this.#writingBytes <= SMALL_BYTES) process.nextTick(settle, this);
    else setImmediate(settle, this);
  }

  /** The kernel has the write. */
  onTaken(): void {
    if (!this.#isWriting) return;
    for (const { chunk } of this.#writingFull) this.#pool.give(chunk);
    this.#writingFull.length = 0;
    if (this.#writingChunk) this.#pool.give(this.#writingChunk);
    this.#writingChunk = undefined;
    this.#waitingBytes -= this.#writingBytes;
    // Who is told may put out more; that is written when all of them were told.
    for (const waiter of this.#writingFor) waiter.taken();
    this.#writingFor.length = 0;
    this.#isWriting = false;
    this.#onTaken();
  }

  #advance(bytes: number): void {
    this.#used += bytes;
    this.#waitingBytes += bytes;
  }

  /** A buffer with room for `bytes` in one piece, at #used, and a new one for `more` behind them. The rest of the one before may stay empty. */
  #room(bytes: number, more: number): Buffer {
    const chunk = this.#chunk;
    if (chunk && chunk.length - this.#used >= bytes) return chunk;
    if (chunk) this.#full.push({ chunk, used: this.#used });
    this.#used = 0;
    return (this.#chunk = this.#pool.take(bytes + more));
  }
}

function settle(output: Output): void {
  output.onTaken();
}

type Filled = { readonly chunk: Buffer; readonly used: number };

/** Of the frame at `at`. */
function fillStream(chunk: Buffer, at: number, stream: number): void {
  chunk[at + 5] = stream >>> 24;
  chunk[at + 6] = stream >> 16;
  chunk[at + 7] = stream >> 8;
  chunk[at + 8] = stream;
}
