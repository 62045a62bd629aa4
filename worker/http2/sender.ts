// Which stream sends next, and how much: the connection's window, the streams' own, the order of RFC 9218 10.

import { MAX_WINDOW, DEFAULT_WINDOW } from "./frame.ts";
import type { Output } from "./output.ts";
import { URGENCIES, type Priority } from "./priority.ts";
import type { Stream } from "./stream.ts";

export class Sender {
  readonly #output: Output;
  readonly #outputLimit: number;
  /** By urgency, in the order of their turns. Streams whose own window is closed are not among them. */
  readonly #ready: Set<Stream>[] = [];
  #readyCount = 0;
  #window = DEFAULT_WINDOW;
  #isPumping = false;
  #frames = 0;

  constructor(output: Output, outputLimit: number) {
    this.#output = output;
    this.#outputLimit = outputLimit;
  }

  /** The stream has something to send. */
  add(stream: Stream): void {
    if (stream.sendWindow <= 0 && stream.pendingBytes > 0) return;
    const { urgency } = stream.priority;
    const turn = (this.#ready[urgency] ??= new Set());
    if (turn.has(stream)) return;
    turn.add(stream);
    this.#readyCount += 1;
  }

  remove(stream: Stream): void {
    if (this.#ready[stream.priority.urgency]?.delete(stream)) this.#readyCount -= 1;
  }

  /** The window of a stream has grown. */
  renew(stream: Stream): void {
    if (stream.pendingBytes > 0) this.add(stream);
  }

  reprioritize(stream: Stream, priority: Priority): void {
    const turn = this.#ready[stream.priority.urgency];
    const isReady = turn?.has(stream) ?? false;
    if (isReady) this.remove(stream);
    stream.priority = priority;
    if (isReady) this.add(stream);
  }

  /** Frames put out since the last call. */
  takeFrameCount(): number {
    const frames = this.#frames;
    this.#frames = 0;
    return frames;
  }

  /** Takes `bytes` of the connection's window for an answer that leaves at once; false where others go first or there is too little. */
  takeWindow(bytes: number): boolean {
    if (bytes > this.#window || this.#readyCount > 0) return false;
    if (this.#output.pendingBytes >= this.#outputLimit) return false;
    this.#window -= bytes;
    this.#frames += 1;
    return true;
  }

  /** Opens the connection's window; false when it became larger than there is (RFC 9113 6.9.1). */
  grow(increment: number): boolean {
    this.#window += increment;
    return this.#window <= MAX_WINDOW;
  }

  /** Puts out what may leave now. */
  pump(): void {
    // A piece that is taken makes the next one come, from inside this loop.
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#readyCount > 0 && this.#output.pendingBytes < this.#outputLimit) {
      const stream = this.#next();
      if (!stream) break;
      this.#window -= stream.putPiece(this.#output, this.#window);
      this.#frames += 1;
      this.#settle(stream);
    }
    this.#isPumping = false;
  }

  /** The first of the most urgent; undefined when the connection's window holds all of them up. */
  #next(): Stream | undefined {
    for (let urgency = 0; urgency < URGENCIES; urgency += 1)
      for (const stream of this.#ready[urgency] ?? [])
        if (this.#window > 0 || stream.pendingBytes === 0) return stream;
    return undefined;
  }

  /** Where a stream stands after its piece: gone, waiting for its window, behind its peers, or still in front. */
  #settle(stream: Stream): void {
    const hasMore = stream.pendingBytes > 0 || (stream.endsAfterPending && !stream.isLocalDone);
    const isOpen = stream.sendWindow > 0 || stream.pendingBytes === 0;
    if (!hasMore || !isOpen) this.remove(stream);
    else if (stream.priority.incremental) {
      this.remove(stream);
      this.add(stream);
    }
  }
}
