// The body of a streamed answer: holds it to its announced length and passes the client's pace back to whoever writes.

import { Writable } from "node:stream";

/** Where the pieces of a body go. A ServerResponse is one. */
export type BodySink = {
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
