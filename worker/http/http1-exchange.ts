// The answering half of an Exchange on Node's HTTP/1.1 parser. Ends when its response has left or its connection is gone, and is then counted and logged.

import type { Writable } from "node:stream";
import type { HeaderPair } from "../../config/vhost.ts";
import type { Logger } from "../../log/logger.ts";
import type { Counters } from "../counters.ts";
import { AnswerBody } from "./answer-body.ts";
import { errorPage } from "./error-page.ts";
import { HttpError, type Exchange } from "./exchange.ts";
import { Http1Request, requestLine, type RequestParts } from "./http1-request.ts";
import { CLIENT_LEFT, settle } from "./ledger.ts";
import { composeFields, hasBody, type ConfiguredFields } from "./response-head.ts";

export type ExchangeParts = RequestParts & {
  readonly configured: ConfiguredFields;
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

export class Http1Exchange extends Http1Request implements Exchange {
  readonly #parts: ExchangeParts;
  readonly #startedAt = performance.now();
  readonly #onAbort: (() => void)[] = [];
  #state: State = "open";
  #status = 0;
  #answer: AnswerBody | undefined;
  #sentBytes = 0;
  #endsWithConnection = false;
  /** Why we cut it ourselves, if we did. */
  #cutReason: string | undefined;
  #mark: "rejected" | undefined;

  constructor(parts: ExchangeParts) {
    super(parts);
    this.#parts = parts;
    parts.response.on("close", () => this.#end(parts.response.writableFinished));
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
    if (refusal.status >= 500 && !isExplained(refusal.status)) {
      const { log } = this.#parts;
      const details = { err: refusal.cause ?? refusal, target: this.target };
      // Clients leave all the time, and what fails because of that is no fault of ours.
      if (this.#isGone() || this.#mark === "rejected") log.debug(details, "A request failed");
      else log.error(details, "A request failed");
    }
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

  /** Whether it is the client who must act: send the body that is being read, or take the answer. */
  get awaitsClient(): boolean {
    if (this.#state === "answering" && this.#parts.response.writableLength > 0) return true;
    return this.awaitsBody;
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

  /**
   * An answer before the end of the request is the last one: what follows on the wire is of no known length to us.
   * So is one that ignores an upgrade: behind such a request Node's parser loses what came in the same read.
   */
  #mustClose(): boolean {
    const { request, response, head, mustClose } = this.#parts;
    const isEarly = head.bodyBytes !== 0 && !request.complete;
    const isOffer = request.headers.upgrade !== undefined;
    return isEarly || isOffer || !response.shouldKeepAlive || mustClose();
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

function toRefusal(error: unknown): HttpError {
  return error instanceof HttpError
    ? error
    : new HttpError(500, "Internal error", { cause: error });
}

/** Answers of a busy server are no faults; those for a program behind this server are logged where it failed. */
function isExplained(status: number): boolean {
  return status > 500 && status <= 505;
}

function announcedLength(headers: readonly HeaderPair[]): number | undefined {
  const announced = headers.find(([name]) => name.toLowerCase() === "content-length")?.[1];
  if (announced === undefined) return undefined;
  if (!/^\d{1,15}$/.test(announced)) throw new Error(`"${announced}" is not a Content-Length`);
  return Number(announced);
}
