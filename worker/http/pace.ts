// Whether a client keeps up a least rate while it is its turn: a byte now and then is progress for a socket, but no transfer.

import type { Socket } from "node:net";
import { TlsStream } from "./tls-stream.ts";

/** What a socket has moved in one direction so far, bytes. */
export type Progress = () => number;

/** Time that is spent by waiting and earned by bytes. What a burst earns is bounded, or the kernel's buffers would pay for hours. */
export class Pace {
  readonly #rate: number;
  readonly #graceMs: number;
  readonly #progress: Progress;
  #leftMs = 0;
  #seen = 0;

  /** `rate` in bytes per second, 0 for none; `graceMs` without a byte are always granted. */
  constructor(rate: number, graceMs: number, progress: Progress) {
    this.#rate = rate;
    this.#graceMs = graceMs;
    this.#progress = progress;
    this.begin();
  }

  /** The next transfer begins. */
  begin(): void {
    this.#leftMs = this.#graceMs;
    this.#seen = this.#progress();
  }

  /** The client was waited for during the last `ms`; true when it has become too slow. */
  spend(ms: number): boolean {
    if (this.#rate === 0) return false;
    const now = this.#progress();
    const earnedMs = ((now - this.#seen) * 1000) / this.#rate;
    this.#seen = now;
    this.#leftMs = Math.min(this.#graceMs, this.#leftMs - ms + earnedMs);
    return this.#leftMs < 0;
  }
}

/** Bytes the kernel has taken of what was written; a large buffer leaves in pieces that no callback tells of. */
export function takenBytes(socket: Socket): number {
  if (socket instanceof TlsStream) return socket.takenBytes;
  // Undocumented; Node's own socket time-outs look at it for the same reason.
  const handle: unknown = Reflect.get(socket, "_handle");
  const queued: unknown =
    typeof handle === "object" && handle !== null ? Reflect.get(handle, "writeQueueSize") : 0;
  return socket.bytesWritten - (typeof queued === "number" ? queued : 0);
}
