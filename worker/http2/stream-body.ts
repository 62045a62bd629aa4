// The body of a request on a stream. What its reader takes is what the client may send more of, so that unread bytes are
// limited by the window.

import { Readable } from "node:stream";

/** Below this much unread the client is told that it may go on. */
const LOW_WATER_BYTES = 64 * 1024;
/** Unread, such a piece costs more memory than its bytes. */
const TINY_BYTES = 64;

export class StreamBody extends Readable {
  readonly #onConsumed: (bytes: number) => void;
  #receivedBytes = 0;
  #consumedBytes = 0;
  #isWanted = false;
  #tinyPieces = 0;

  constructor(onConsumed: (bytes: number) => void) {
    super({ highWaterMark: LOW_WATER_BYTES });
    this.#onConsumed = onConsumed;
  }

  /** Whether somebody waits for more. */
  get isWanted(): boolean {
    return this.#isWanted && !this.destroyed;
  }

  /** Bytes that nobody has taken. */
  get unreadBytes(): number {
    return this.#receivedBytes - this.#consumedBytes;
  }

  /** A piece has come. Returns how many tiny ones came since somebody read. */
  receive(chunk: Buffer): number {
    if (chunk.length < TINY_BYTES) this.#tinyPieces += 1;
    this.#receivedBytes += chunk.length;
    this.#isWanted = false;
    this.push(chunk);
    return this.#tinyPieces;
  }

  /** All has come. */
  complete(): void {
    this.#isWanted = false;
    this.push(null);
  }

  override _read(): void {
    this.#isWanted = true;
    this.#tinyPieces = 0;
    const consumed = this.#receivedBytes - this.readableLength;
    const bytes = consumed - this.#consumedBytes;
    this.#consumedBytes = consumed;
    if (bytes > 0) this.#onConsumed(bytes);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const bytes = this.unreadBytes;
    this.#consumedBytes = this.#receivedBytes;
    if (bytes > 0) this.#onConsumed(bytes);
    // A mount that never looked at the body does not listen either.
    done(this.listenerCount("error") > 0 ? error : null);
  }
}
