// An Exchange on a stream of HTTP/2. Ends when the last frame of its answer has been taken by the kernel, or the stream is gone.

import { Readable } from "node:stream";
import type { HeaderPair } from "../../config/vhost.ts";
import type { BodySink } from "../http/answer-body.ts";
import type { ByteString, HttpError } from "../http/exchange.ts";
import { composeFields } from "../http/response-head.ts";
import { ServedExchange, type ServedExchangeParts } from "../http/served-exchange.ts";
import type { EncodedBlock, FieldEncoder } from "./hpack-encoder.ts";
import type { Stream } from "./stream.ts";

const CONTINUE = 100;

export type Http2ExchangeParts = ServedExchangeParts & {
  readonly stream: Stream;
  readonly encoder: FieldEncoder;
  readonly fields: readonly HeaderPair[];
  readonly requestLine: ByteString;
};

export class Http2Exchange extends ServedExchange {
  readonly #parts: Http2ExchangeParts;
  /** Held back for a moment, so that an answer without a body is one frame. */
  #head: EncodedBlock | undefined;
  #isAnswered = false;
  #hasContinued = false;

  constructor(parts: Http2ExchangeParts) {
    super(parts);
    this.#parts = parts;
  }

  get fields(): readonly HeaderPair[] {
    return this.#parts.fields;
  }

  get body(): Readable {
    const { stream, head, encoder } = this.#parts;
    if (!stream.body) return Readable.from([]);
    if (head.expectsContinue && !this.#hasContinued && !stream.isRemoteDone && !this.#isAnswered) {
      this.#hasContinued = true;
      stream.putInterim(encoder.encode(CONTINUE, []));
    }
    return stream.body;
  }

  get awaitsBody(): boolean {
    const { stream } = this.#parts;
    return !stream.isRemoteDone && stream.body?.isWanted === true;
  }

  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** Everything has been taken by the kernel. */
  taken(): void {
    this.end(true);
  }

  /** The stream or the connection is gone. */
  lose(): void {
    this.end(false);
  }

  protected get requestLine(): ByteString {
    return this.#parts.requestLine;
  }

  protected get unsentBytes(): number {
    return this.#parts.stream.pendingBytes;
  }

  protected get sink(): BodySink {
    const { stream } = this.#parts;
    return {
      write: (chunk, taken) => {
        this.flushHead();
        stream.write(chunk, taken);
      },
      end: () => this.finish(undefined),
    };
  }

  protected writeHead(
    status: number,
    headers: readonly HeaderPair[],
    length: number | undefined,
  ): void {
    const { configured, serverString, encoder } = this.#parts;
    const fields = composeFields({
      status,
      headers,
      configured,
      serverString,
      version: "2.0",
      length,
      closes: false,
      keepAliveSecs: 0,
    });
    this.#head = encoder.encode(status, fields);
  }

  protected breakBody(error: HttpError): void {
    if (!this.#parts.stream.isRemoteDone) this.#parts.stream.body?.destroy(error);
  }

  protected finish(body: Uint8Array | undefined): void {
    const { stream } = this.#parts;
    this.#isAnswered = true;
    if (body) {
      this.flushHead();
      stream.endWith(body);
    } else if (this.#head) stream.putHead(this.#head, true);
    else stream.end();
    this.#head = undefined;
  }

  protected flushHead(): void {
    const head = this.#head;
    this.#head = undefined;
    if (head) this.#parts.stream.putHead(head, false);
  }

  protected cut(): void {
    this.#parts.stream.reset("INTERNAL_ERROR");
  }
}
