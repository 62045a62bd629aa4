// An Exchange on Node's HTTP/1.1 parser. Ends when its response has left or its connection is gone.

import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { HeaderPair } from "../../config/vhost.ts";
import type { BodySink } from "./answer-body.ts";
import type { BareSocket } from "./bare-socket.ts";
import type { ByteString, HttpError } from "./exchange.ts";
import { requestLine } from "./http1-request.ts";
import { pairFields } from "./request-head.ts";
import { composeFields, hasBody } from "./response-head.ts";
import { ServedExchange, type ServedExchangeParts } from "./served-exchange.ts";

export type ExchangeParts = ServedExchangeParts & {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Whether the next answer must be the last of its connection. */
  readonly mustClose: () => boolean;
  readonly bare: BareSocket;
  /** Cuts the connection; a reset where its mere end would look like the end of the body. */
  readonly cut: (how: "close" | "reset") => void;
};

export class Http1Exchange extends ServedExchange {
  readonly #parts: ExchangeParts;
  #body: Readable | undefined;
  #fields: readonly HeaderPair[] | undefined;
  #endsWithConnection = false;

  constructor(parts: ExchangeParts) {
    super(parts);
    this.#parts = parts;
    parts.response.on("close", () => this.end(parts.response.writableFinished));
  }

  get fields(): readonly HeaderPair[] {
    return (this.#fields ??= pairFields(this.#parts.request.rawHeaders));
  }

  get body(): Readable {
    if (this.#body) return this.#body;
    const { request, response, head } = this.#parts;
    if (head.bodyBytes === 0) return (this.#body = Readable.from([]));
    if (head.expectsContinue && !response.headersSent && !response.destroyed)
      response.writeContinue();
    return (this.#body = request);
  }

  /** Whether the whole request has been read off the connection. */
  get isRead(): boolean {
    return this.#parts.request.complete;
  }

  get awaitsBody(): boolean {
    const { request } = this.#parts;
    if (this.#body !== request || request.complete) return false;
    return request.readableLength < request.readableHighWaterMark;
  }

  get isAnswered(): boolean {
    return this.#parts.response.writableEnded;
  }

  protected get requestLine(): ByteString {
    return requestLine(this.#parts.request);
  }

  protected get sink(): BodySink {
    const { response, bare } = this.#parts;
    return {
      bare,
      write: (chunk, taken) => response.write(chunk, taken),
      end: () => response.end(),
    };
  }

  protected get unsentBytes(): number {
    return this.#parts.response.writableLength;
  }

  protected writeHead(
    status: number,
    headers: readonly HeaderPair[],
    length: number | undefined,
  ): void {
    const { head, vhost, configured, response, serverString } = this.#parts;
    const version = head.version === "1.0" ? "1.0" : "1.1";
    const keepAliveSecs = vhost.config.keepalive_timeout;
    this.#endsWithConnection = version === "1.0" && length === undefined && hasBody(status);
    const closes = this.#endsWithConnection || this.#mustClose();
    const fields = composeFields({
      status,
      headers,
      configured,
      serverString,
      version,
      length,
      closes,
      keepAliveSecs,
    });
    // Else Node would chunk for an HTTP/1.0 client that sends "TE: chunked".
    response.useChunkedEncodingByDefault = false;
    response.writeHead(status, fields);
  }

  protected finish(body: Uint8Array | undefined): void {
    const { response } = this.#parts;
    if (body) response.end(body);
    else response.end();
  }

  protected flushHead(): void {
    this.#parts.response.flushHeaders();
  }

  protected breakBody(error: HttpError): void {
    const { request } = this.#parts;
    if (request.complete) return;
    // Node's own would take the connection along, and the answer on it.
    const end: Readable["_destroy"] = (reason, done) =>
      done(request.listenerCount("error") > 0 ? reason : null);
    Object.assign(request, { _destroy: end });
    request.destroy(error);
  }

  protected cut(): void {
    this.#parts.cut(this.#endsWithConnection ? "reset" : "close");
  }

  /**
   * An answer before the end of the request is the last one: what follows on the wire is of no known length to us.
   * So is one that ignores an upgrade: behind such a request Node's parser loses what came in the same read.
   */
  #mustClose(): boolean {
    const { request, response, head, mustClose } = this.#parts;
    const isEarly = head.bodyBytes !== 0 && !request.complete;
    const isOffer = request.headers.upgrade !== undefined;
    return this.closes || isEarly || isOffer || !response.shouldKeepAlive || mustClose();
  }
}
