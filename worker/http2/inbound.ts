// The windows the client may send in (RFC 9113 5.2, 6.9): what has been read is given back in large steps.

import { ConnectionFault, DEFAULT_WINDOW } from "./frame.ts";
import type { Http2Limits } from "./limits.ts";
import type { Output } from "./output.ts";
import type { Stream } from "./stream.ts";

export class Inbound {
  readonly #output: Output;
  readonly #limits: Http2Limits;
  #window = DEFAULT_WINDOW;
  #readBytes = 0;

  constructor(output: Output, limits: Http2Limits) {
    this.#output = output;
    this.#limits = limits;
  }

  /** Opens the connection's window, which begins at a size of its own, to ours. */
  open(): void {
    const more = this.#limits.connectionWindowBytes - this.#window;
    if (more <= 0) return;
    this.#output.windowUpdate(0, more);
    this.#window += more;
  }

  /** A DATA frame has come. */
  take(bytes: number): void {
    if (bytes > this.#window)
      throw new ConnectionFault("FLOW_CONTROL_ERROR", "More than the connection's window");
    this.#window -= bytes;
  }

  /** Bytes of it have been read, or are of no use. */
  give(bytes: number): void {
    this.#readBytes += bytes;
    if (this.#readBytes < this.#limits.connectionWindowBytes / 2) return;
    this.#output.windowUpdate(0, this.#readBytes);
    this.#window += this.#readBytes;
    this.#readBytes = 0;
  }

  /** As give(), for one stream's window; nothing is given to a stream that cannot send. */
  giveStream(stream: Stream, bytes: number): void {
    if (stream.isRemoteDone || stream.isLocalDone) return;
    stream.readBytes += bytes;
    if (stream.readBytes < this.#limits.streamWindowBytes / 2) return;
    this.#output.windowUpdate(stream.id, stream.readBytes);
    stream.receiveWindow += stream.readBytes;
    stream.readBytes = 0;
  }
}
