// One request on Node's HTTP/1.1 parser as an Exchange. Ends when its response has left or its connection is gone, and is then counted and logged.

import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable, type Writable } from "node:stream";
import type { HeaderPair } from "../../config/vhost.ts";
import type { Logger } from "../../log/logger.ts";
import type { Counters } from "../counters.ts";
import type { SiteVhost } from "../router.ts";
import { AnswerBody } from "./answer-body.ts";
import type { Connection } from "./connection.ts";
import { errorPage } from "./error-page.ts";
import { HttpError, type ByteString, type Exchange } from "./exchange.ts";
import { settle } from "./ledger.ts";
import { pairFields, type RequestHead } from "./request-head.ts";
import { composeFields, hasBody, type ConfiguredFields } from "./response-head.ts";

/** What stands in the log for a client that left before any answer; nginx's number. */
const CLIENT_LEFT = 499;

export type ExchangeParts = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: RequestHead;
  readonly vhost: SiteVhost;
  readonly configured: ConfiguredFields;
  readonly connection: Connection;
  readonly counters: Counters;
  readonly log: Logger;
  readonly serverString: string | undefined;
  /** Whether the next answer must be the last of its connection. */
  readonly mustClose: () => boolean;
  /** Cuts the connection; a reset where its mere end would look like the end of the body. */
  readonly cut: (how: "close" | "reset") => void;
  /** Called once, after everything is counted. */
  readonly onEnd: () => void;
};

type State = "open" | "answering" | "ended";

export class Http1Exchange implements Exchange {
  readonly #parts: ExchangeParts;
  readonly #startedAt = performance.now();
  readonly #onAbort: (() => void)[] = [];
  #state: State = "open";
  #status = 0;
  #answer: AnswerBody | undefined;
  #sentBytes = 0;
  #endsWithConnection = false;
  #body: Readable | undefined;
  #fields: readonly HeaderPair[] | undefined;
  #values: Map<string, string> | undefined;
  /** Why we cut it ourselves, if we did. */
  #cutReason: string | undefined;
  #mark: "rejected" | undefined;

  constructor(parts: ExchangeParts) {
    this.#parts = parts;
    parts.response.on("close", () => this.#end(parts.response.writableFinished));
  }

  get method(): string {
    return this.#parts.head.method;
  }
  get target(): ByteString {
    return this.#parts.head.target;
  }
  get path(): ByteString {
    return this.#parts.head.path;
  }
  get query(): ByteString | undefined {
    return this.#parts.head.query;
  }
  get version(): "1.0" | "1.1" {
    return this.#parts.head.version;
  }
  get authority(): string | undefined {
    return this.#parts.head.authority?.text;
  }
  get host(): string {
    return this.#parts.head.authority?.host ?? this.#parts.vhost.config.name;
  }
  get secure(): boolean {
    return this.#parts.connection.secure;
  }
  get remoteAddress(): string {
    return this.#parts.connection.remoteAddress;
  }
  get remotePort(): number {
    return this.#parts.connection.remotePort;
  }
  get localAddress(): string {
    return this.#parts.connection.localAddress;
  }
  get localPort(): number {
    return this.#parts.connection.localPort;
  }
  get bodyBytes(): number | undefined {
    return this.#parts.head.bodyBytes;
  }

  get fields(): readonly HeaderPair[] {
    return (this.#fields ??= pairFields(this.#parts.request.rawHeaders));
  }

  get body(): Readable {
    if (this.#body) return this.#body;
    const { request, response, head } = this.#parts;
    if (head.bodyBytes === 0) return (this.#body = Readable.from([]));
    if (head.expectsContinue && this.#state === "open") response.writeContinue();
    return (this.#body = request);
  }

  header(name: string): string | undefined {
    this.#values ??= joinFields(this.fields);
    return this.#values.get(name);
  }

  send(status: number, headers: readonly HeaderPair[], body: Uint8Array | string = ""): void {
    if (this.#isGone()) return;
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    const sends = this.#begin(status, headers, bytes.length);
    const { response } = this.#parts;
    if (!sends || bytes.length === 0) return void response.end();
    this.#sentBytes = bytes.length;
    response.end(bytes);
  }

  stream(status: number, headers: readonly HeaderPair[]): Writable {
    const { response } = this.#parts;
    const cut = (reason: string): void => this.abort(reason);
    if (this.#isGone()) {
      const nowhere = new AnswerBody({ response, length: undefined, sends: false, cut });
      return nowhere.destroy();
    }
    const length = announcedLength(headers);
    const sends = this.#begin(status, headers, length);
    const answer = new AnswerBody({ response, length, sends, cut });
    this.#answer = answer;
    // The client sees the head even while the body is still being made; a body that is ready leaves together with it.
    setImmediate(() => {
      if (answer.bytes === 0 && !answer.writableEnded && !answer.destroyed) response.flushHeaders();
    });
    return answer;
  }

  fail(error: unknown): void {
    const refusal = toRefusal(error);
    if (refusal.status >= 500 && !isOverload(refusal.status))
      this.#parts.log.error(
        { err: refusal.cause ?? refusal, target: this.target },
        "A request failed",
      );
    // Whoever fails after the last word has not spoilt the answer.
    if (this.isAnswered) return;
    if (this.#state !== "open") return this.abort(refusal.message);
    const page = errorPage(refusal.status, refusal.status < 500 ? refusal.message : "");
    try {
      const type: HeaderPair = ["Content-Type", "text/html; charset=utf-8"];
      this.send(refusal.status, [type, ...refusal.headers], page);
    } catch (fault) {
      this.#parts.log.error({ err: fault, target: this.target }, "Cannot send an error page");
      this.abort("No error page can be sent");
    }
  }

  abort(reason: string): void {
    if (this.#state === "ended" || this.#cutReason !== undefined) return;
    this.#cutReason = reason;
    this.#parts.log.debug({ target: this.target, reason }, "Aborted");
    this.#parts.cut(this.#endsWithConnection ? "reset" : "close");
  }

  onAbort(callback: () => void): void {
    if (this.#isGone()) queueMicrotask(callback);
    else this.#onAbort.push(callback);
  }

  /** The request is malformed, or turned out to be behind its head: no more of it will come. */
  reject(refusal: HttpError): void {
    this.#mark = "rejected";
    for (const callback of this.#onAbort.splice(0)) callback();
    this.fail(refusal);
  }

  /** The client owes bytes or takes none. */
  cutStalled(): void {
    if (this.#state === "open") this.reject(new HttpError(408, "The request body does not arrive"));
    else this.abort("The client has stalled");
  }

  /** Whether the mount has nothing more to say. */
  get isAnswered(): boolean {
    return this.#parts.response.writableEnded;
  }

  /** Whether the whole request has been read off the connection. */
  get isRead(): boolean {
    return this.#parts.request.complete;
  }

  /** Whether it is the client who must act: send the body that is being read, or take the answer. */
  get awaitsClient(): boolean {
    const { request, response } = this.#parts;
    if (this.#state === "answering" && response.writableLength > 0) return true;
    if (this.#body !== request || request.complete) return false;
    return request.readableLength < request.readableHighWaterMark;
  }

  /** True when nobody is left to answer; throws where an answer has begun, which is a bug of the caller. */
  #isGone(): boolean {
    return this.#state === "ended" || this.#cutReason !== undefined;
  }

  /** Writes the head; says whether a body follows it. */
  #begin(status: number, headers: readonly HeaderPair[], length: number | undefined): boolean {
    if (this.#state !== "open") throw new Error("The request is answered already");
    if (!Number.isInteger(status) || status < 200 || status > 599)
      throw new Error(`${status} is not the status of a final answer`);
    const { head, vhost, configured, response, serverString } = this.#parts;
    const { version, method } = head;
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
    this.#state = "answering";
    this.#status = status;
    return hasBody(status) && method !== "HEAD";
  }

  /** An answer before the end of the request is the last one: what follows on the wire is of no known length to us. */
  #mustClose(): boolean {
    const { request, response, head, mustClose } = this.#parts;
    const isEarly = head.bodyBytes !== 0 && !request.complete;
    return isEarly || !response.shouldKeepAlive || mustClose();
  }

  #end(complete: boolean): void {
    if (this.#state === "ended") return;
    const hadAnswer = this.#state === "answering";
    this.#state = "ended";
    const aborted = !complete || this.#cutReason !== undefined;
    if (aborted) for (const callback of this.#onAbort.splice(0)) callback();
    if (this.#answer) {
      this.#sentBytes = this.#answer.bytes;
      this.#answer.destroy();
    }
    const { vhost, connection, counters, request, onEnd } = this.#parts;
    const unanswered = this.#cutReason === undefined ? CLIENT_LEFT : 500;
    settle(counters, {
      vhost,
      remoteAddress: connection.remoteAddress,
      requestLine: requestLine(request),
      referer: this.header("referer"),
      userAgent: this.header("user-agent"),
      status: hadAnswer ? this.#status : unanswered,
      bytes: this.#sentBytes,
      startedAt: this.#startedAt,
      mark: aborted ? "aborted" : this.#mark,
    });
    onEnd();
  }
}

/** The first line of a request as it was sent. */
export function requestLine(request: IncomingMessage): ByteString {
  return `${request.method} ${request.url} HTTP/${request.httpVersion}`;
}

function toRefusal(error: unknown): HttpError {
  return error instanceof HttpError
    ? error
    : new HttpError(500, "Internal error", { cause: error });
}

/** Answers of a busy server are no faults. */
function isOverload(status: number): boolean {
  return status === 501 || status === 503 || status === 505;
}

function announcedLength(headers: readonly HeaderPair[]): number | undefined {
  const announced = headers.find(([name]) => name.toLowerCase() === "content-length")?.[1];
  if (announced === undefined) return undefined;
  if (!/^\d{1,15}$/.test(announced)) throw new Error(`"${announced}" is not a Content-Length`);
  return Number(announced);
}

function joinFields(fields: readonly HeaderPair[]): Map<string, string> {
  const values = new Map<string, string>();
  for (const [name, value] of fields) {
    const lower = name.toLowerCase();
    const before = values.get(lower);
    // RFC 9110 5.3, and RFC 9113 8.2.3 for cookies.
    const separator = lower === "cookie" ? "; " : ", ";
    values.set(lower, before === undefined ? value : before + separator + value);
  }
  return values;
}
