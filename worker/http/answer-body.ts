// The body of a streamed answer: holds it to its announced length and passes the client's pace back to whoever writes.

import { Writable } from "node:stream";
import type { BareSocket } from "./bare-socket.ts";

/** Where the pieces of a body go. */
export type BodySink = {
  /** The socket beneath, where the pieces reach it as they are. */
  readonly bare?: BareSocket | undefined;
  /** Calls back once the kernel has the piece, or nobody will take it any more. */
  write(chunk: Buffer, taken: (error?: Error | null) => void): unknown;
  end(): unknown;
};

export type AnswerBodyOptions = {
  readonly sink: BodySink;
  /** Content-Length as announced, undefined when chunked or until close. */
  readonly length: number | undefined;
  /** False for HEAD, 204 and 304: what is written goes nowhere. */
  readonly sends: boolean;
  /** The answer cannot be completed. */
  readonly cut: (reason: string) => void;
};

/** Ends the sink when it ends; destroyed before that, or ended with a wrong length, it cuts the connection. */
export class AnswerBody extends Writable {
  readonly #options: AnswerBodyOptions;
  bytes = 0;

  constructor(options: AnswerBodyOptions) {
    super({ decodeStrings: true });
    this.#options = options;
  }

  /** Where more of the body may be sent by other means: when nothing waits here, and the means are good for sockets. */
  get descriptor(): number | undefined {
    const { sink, sends } = this.#options;
    if (!sends || this.destroyed || this.writableEnded || this.writableLength > 0) return undefined;
    return sink.bare?.descriptor;
  }

  /** So many bytes were sent there. */
  passed(bytes: number): void {
    this.bytes += bytes;
    this.#options.sink.bare?.passed(bytes);
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const { sink, length, sends } = this.#options;
    if (!sends) return done();
    if (length !== undefined && this.bytes + chunk.length > length)
      return this.#fail(`The body is longer than the announced ${length} bytes`);
    if (chunk.length === 0) return done();
    this.bytes += chunk.length;
    // Called when the kernel has taken it: at most one piece waits here and one in the socket.
    sink.write(chunk, (error) => {
      // Going on would spin: a dead connection takes everything at once.
      if (error) this.destroy();
      else done();
    });
  }

  override _final(done: () => void): void {
    const { sink, length, sends } = this.#options;
    if (sends && length !== undefined && this.bytes !== length)
      return this.#fail(`The body ended after ${this.bytes} of ${length} announced bytes`);
    sink.end();
    done();
  }

  override _destroy(error: Error | null, done: () => void): void {
    if (!this.writableFinished) this.#options.cut(error?.message ?? "The body was given up");
    // The error stays here: nobody may listen for it, and the cut has told its story.
    done();
  }

  #fail(reason: string): void {
    this.#options.cut(reason);
    this.destroy();
  }
}
