// Bytes of a connection -> the client's preface and whole frames (RFC 9113 3.4, 4.1). A frame that comes whole in one read is not
// copied; of any other no more than one is kept.

import {
  ConnectionFault,
  FRAME_HEADER_BYTES,
  frameType,
  MAX_FRAME_BYTES,
  PREFACE,
} from "./frame.ts";

/** Takes one frame. Its payload is `source` from `start` to `end` and belongs to the next one when this returns. */
export type FrameHandler = (
  type: number,
  flags: number,
  stream: number,
  source: Buffer,
  start: number,
  end: number,
) => void;

export class FrameReader {
  readonly #handle: FrameHandler;
  #prefaceBytes = 0;
  /** The frame of which only a part has come: its header, then all of it. */
  #partial: Buffer | undefined;
  #partialBytes = 0;

  constructor(handle: FrameHandler) {
    this.#handle = handle;
  }

  /** Whether a frame, or the preface, has begun and not ended. */
  get isInside(): boolean {
    return this.#partial !== undefined || this.#prefaceBytes < PREFACE.length;
  }

  get hasPreface(): boolean {
    return this.#prefaceBytes === PREFACE.length;
  }

  /** Feeds the next bytes. Throws ConnectionFault for what cannot be a frame. */
  push(chunk: Buffer): void {
    let at = this.#prefaceBytes < PREFACE.length ? this.#readPreface(chunk) : 0;
    while (this.#partial && at < chunk.length) at = this.#complete(chunk, at, this.#partial);
    while (chunk.length - at >= FRAME_HEADER_BYTES) {
      const bytes = chunk.readUIntBE(at, 3);
      checkLength(chunk, at, bytes);
      const start = at + FRAME_HEADER_BYTES;
      const end = start + bytes;
      if (end > chunk.length) break;
      this.#emit(chunk, at, end);
      at = end;
    }
    if (at < chunk.length) this.#keep(chunk, at);
  }

  #readPreface(chunk: Buffer): number {
    const from = this.#prefaceBytes;
    const count = Math.min(PREFACE.length - from, chunk.length);
    if (PREFACE.compare(chunk, 0, count, from, from + count) !== 0)
      throw new ConnectionFault("PROTOCOL_ERROR", "The preface is wrong");
    this.#prefaceBytes += count;
    return count;
  }

  #keep(chunk: Buffer, at: number): void {
    const isHeaderThere = chunk.length - at >= FRAME_HEADER_BYTES;
    const bytes = isHeaderThere ? chunk.readUIntBE(at, 3) : 0;
    this.#partial = Buffer.allocUnsafe(FRAME_HEADER_BYTES + bytes);
    this.#partialBytes = chunk.copy(this.#partial, 0, at);
  }

  /** Adds to the frame that is not whole yet; returns where the rest of the chunk begins. */
  #complete(chunk: Buffer, at: number, partial: Buffer): number {
    const count = Math.min(partial.length - this.#partialBytes, chunk.length - at);
    chunk.copy(partial, this.#partialBytes, at, at + count);
    this.#partialBytes += count;
    if (this.#partialBytes < partial.length) return at + count;
    if (partial.length === FRAME_HEADER_BYTES) {
      const bytes = partial.readUIntBE(0, 3);
      checkLength(partial, 0, bytes);
      if (bytes > 0) {
        this.#partial = Buffer.allocUnsafe(FRAME_HEADER_BYTES + bytes);
        partial.copy(this.#partial);
        return at + count;
      }
    }
    this.#partial = undefined;
    this.#emit(partial, 0, partial.length);
    return at + count;
  }

  #emit(source: Buffer, at: number, end: number): void {
    // The highest bit of the stream is reserved and ignored.
    const stream = source.readUInt32BE(at + 5) & 0x7fff_ffff;
    this.#handle(
      source[at + 3] ?? 0,
      source[at + 4] ?? 0,
      stream,
      source,
      at + FRAME_HEADER_BYTES,
      end,
    );
  }
}

/** As soon as the length is known: nobody waits for the rest of what is refused anyway. */
function checkLength(source: Buffer, at: number, bytes: number): void {
  if (bytes <= MAX_FRAME_BYTES) return;
  const type = source[at + 3] ?? 0;
  const name = Object.entries(frameType).find(([, number]) => number === type)?.[0] ?? "unknown";
  throw new ConnectionFault("FRAME_SIZE_ERROR", `A frame (${name}) of ${bytes} bytes is too large`);
}
