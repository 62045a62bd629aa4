// The streams of a connection by number, and what is still known of those that ended (RFC 9113 5.1.1).

import { ConnectionFault } from "./frame.ts";
import type { Stream } from "./stream.ts";

/** Streams we reset that the client may not know of; older ones count as closed. */
const MAX_REMEMBERED_RESETS = 256;

export class StreamTable {
  readonly #open = new Map<number, Stream>();
  readonly #resets = new Set<number>();
  #lastId = 0;
  /** Numbers below the last that the client passed over when it opened that. */
  #passedFrom = 0;

  /** Highest stream the client has opened. */
  get lastId(): number {
    return this.#lastId;
  }

  get size(): number {
    return this.#open.size;
  }

  [Symbol.iterator](): IterableIterator<Stream> {
    return this.#open.values();
  }

  get(id: number): Stream | undefined {
    return this.#open.get(id);
  }

  isNew(id: number): boolean {
    return id > this.#lastId;
  }

  /** All lower numbers that were not used are closed with this. Throws for a number that is no client's. */
  use(id: number): void {
    if (id % 2 === 0) throw new ConnectionFault("PROTOCOL_ERROR", "Clients open odd streams");
    this.#passedFrom = this.#lastId + 1;
    this.#lastId = id;
  }

  add(stream: Stream): void {
    this.#open.set(stream.id, stream);
  }

  /** A stream that takes a frame; undefined where the frame is to be ignored. Throws where there can be none. */
  expect(id: number): Stream | undefined {
    const stream = this.#open.get(id);
    if (stream) return stream;
    if (id === 0 || id % 2 === 0 || id > this.#lastId)
      throw new ConnectionFault("PROTOCOL_ERROR", `Stream ${id} is idle`);
    if (this.#resets.has(id)) return undefined;
    if (id >= this.#passedFrom && id < this.#lastId)
      throw new ConnectionFault("PROTOCOL_ERROR", `Stream ${id} was passed over`);
    throw new ConnectionFault("STREAM_CLOSED", `Stream ${id} is closed`);
  }

  /** Frames that were on their way when we reset a stream are ignored. */
  isForgiven(id: number): boolean {
    return this.#resets.has(id);
  }

  /** The client has said its last on a stream we reset. */
  unforgive(id: number): void {
    this.#resets.delete(id);
  }

  remove(stream: Stream): void {
    this.#open.delete(stream.id);
  }

  /** `id` was reset by us while the client could still send. */
  forgive(id: number): void {
    if (this.#resets.size >= MAX_REMEMBERED_RESETS)
      for (const oldest of this.#resets) {
        this.#resets.delete(oldest);
        break;
      }
    this.#resets.add(id);
  }
}
