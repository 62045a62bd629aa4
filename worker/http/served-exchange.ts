// The answering half of an Exchange that every front shares: one answer, errors turned into pages, one end that is counted
// and logged. A front adds how a head and a body leave, and how its connection or stream is cut.

import type { Readable, Writable } from "node:stream";
import type { HeaderPair } from "../../config/vhost.ts";
import type { Logger } from "../../log/logger.ts";
import type { Counters, MountTally } from "../counters.ts";
import { AnswerBody, type BodySink } from "./answer-body.ts";
import { answerFor } from "./error-page.ts";
import { HttpError, type ByteString, type Exchange } from "./exchange.ts";
import { CLIENT_LEFT, settle } from "./ledger.ts";
import { hasBody, type ConfiguredFields } from "./response-head.ts";
import { ServedRequest, type ServedParts } from "./served-request.ts";

export type ServedExchangeParts = ServedParts & {
  readonly configured: ConfiguredFields;
  readonly counters: Counters;
  /** Of the mount it is for. */
  readonly tally: MountTally | undefined;
  readonly log: Logger;
  readonly serverString: string | undefined;
  /** Called once, after everything is counted. */
  readonly onEnd: () => void;
};

type State = "open" | "answering" | "ended";

export abstract class ServedExchange extends ServedRequest implements Exchange {
  readonly #parts: ServedExchangeParts;
  readonly #startedAt = performance.now();
  readonly #onAbort: (() => void)[] = [];
  readonly #onClientEnd: (() => void)[] = [];
  #clientState: "sending" | "ended" = "sending";
  #state: State = "open";
  #status = 0;
  #answer: AnswerBody | undefined;
  #sentBytes = 0;
  /** Why we cut it ourselves, if we did. */
  #cutReason: string | undefined;
  #mark: "rejected" | undefined;
  /** Whether its refusal is to be the last answer of the connection. */
  protected closes = false;

  /** As Exchange.body. */
  abstract readonly body: Readable;
  /** Whether somebody reads the body and the client does not send it. */
  abstract readonly awaitsBody: boolean;
  /** Whether the mount has nothing more to say. */
  abstract readonly isAnswered: boolean;
  /** The first line as the access log shows it. */
  protected abstract readonly requestLine: ByteString;
  /** Where the body of a streamed answer goes. */
  protected abstract readonly sink: BodySink;
  /** Bytes of the answer that the client has not taken. */
  protected abstract readonly unsentBytes: number;
  /** Prepares or writes the head. `length` is that of the body GET would bring, where it is known. */
  protected abstract writeHead(
    status: number,
    headers: readonly HeaderPair[],
    length: number | undefined,
  ): void;
  /** Ends an answer that was not streamed; `body` is undefined or holds bytes that do leave. */
  protected abstract finish(body: Uint8Array | undefined): void;
  /** Lets the client see the head while the body is still being made. */
  protected abstract flushHead(): void;
  /** Cuts what carries the exchange. */
  protected abstract cut(): void;
  /** Whoever reads the body is told that the rest will not come. */
  protected abstract breakBody(error: HttpError): void;

  constructor(parts: ServedExchangeParts) {
    super(parts);
    this.#parts = parts;
  }

  send(status: number, headers: readonly HeaderPair[], body: Uint8Array | string = ""): void {
    if (this.#isGone()) return;
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    const sends = this.#begin(status, headers, bytes.length);
    if (!sends || bytes.length === 0) return this.finish(undefined);
    this.#sentBytes = bytes.length;
    this.finish(bytes);
  }

  stream(status: number, headers: readonly HeaderPair[]): Writable {
    const { sink } = this;
    const cut = (reason: string): void => this.abort(reason);
    if (this.#isGone()) {
      const nowhere = new AnswerBody({ sink, length: undefined, sends: false, cut });
      return nowhere.destroy();
    }
    const length = announcedLength(headers);
    const sends = this.#begin(status, headers, length);
    const answer = new AnswerBody({ sink, length, sends, cut });
    this.#answer = answer;
    // The client sees the head even while the body is still being made; a body that is ready leaves together with it.
    setImmediate(() => {
      if (answer.bytes === 0 && !answer.writableEnded && !answer.destroyed) this.flushHead();
    });
    return answer;
  }

  fail(error: unknown): void {
    const refusal = toRefusal(error);
    this.closes = refusal.closes;
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
    try {
      const { status, headers, body } = answerFor(refusal, this, this.#parts.configured.pages);
      this.send(status, headers, body);
    } catch (fault) {
      this.#parts.log.error({ err: fault, target: this.target }, "Cannot send an error page");
      this.abort("No error page can be sent");
    }
  }

  abort(reason: string): void {
    if (this.#state === "ended" || this.#cutReason !== undefined) return;
    this.#cutReason = reason;
    this.#parts.log.debug({ target: this.target, reason }, "Aborted");
    this.cut();
  }

  onAbort(callback: () => void): void {
    // A refusal that is on its way is the answer: what the mount has yet to begin, nobody waits for.
    if (this.#isGone() || this.#mark === "rejected") queueMicrotask(callback);
    else this.#onAbort.push(callback);
  }

  onClientEnd(callback: () => void): void {
    if (this.#clientState === "ended") queueMicrotask(callback);
    else this.#onClientEnd.push(callback);
  }

  /** The client has closed its sending side, and the whole request came before that. */
  clientEnded(): void {
    if (this.#clientState === "ended" || this.#state === "ended") return;
    this.#clientState = "ended";
    for (const callback of this.#onClientEnd.splice(0)) callback();
  }

  /** The request is malformed, or turned out to be behind its head: no more of it will come. */
  reject(refusal: HttpError): void {
    this.#mark = "rejected";
    for (const callback of this.#onAbort.splice(0)) callback();
    this.fail(refusal);
    this.breakBody(refusal);
  }

  /** The client owes bytes or takes none. */
  cutStalled(): void {
    if (this.#state === "open") this.reject(new HttpError(408, "The request body does not arrive"));
    else this.abort("The client has stalled");
  }

  /** Whether it is the client who must act: send the body that is being read, or take the answer. */
  get awaitsClient(): boolean {
    if (this.#state === "answering" && this.unsentBytes > 0) return true;
    return this.awaitsBody;
  }

  /** What carried the exchange is done with it: all was sent, or it is gone. Counts and logs, once. */
  protected end(complete: boolean): void {
    if (this.#state === "ended") return;
    const hadAnswer = this.#state === "answering";
    this.#state = "ended";
    const aborted = !complete || this.#cutReason !== undefined;
    if (aborted) for (const callback of this.#onAbort.splice(0)) callback();
    if (this.#answer) {
      this.#sentBytes = this.#answer.bytes;
      this.#answer.destroy();
    }
    const { vhost, tally, connection, counters, onEnd } = this.#parts;
    const unanswered = this.#cutReason === undefined ? CLIENT_LEFT : 500;
    settle(counters, {
      vhost,
      tally,
      remoteAddress: connection.remoteAddress,
      requestId: connection.requestId,
      user: this.user,
      requestLine: this.requestLine,
      referer: this.header("referer"),
      userAgent: this.header("user-agent"),
      status: hadAnswer ? this.#status : unanswered,
      bytes: this.#sentBytes,
      startedAt: this.#startedAt,
      mark: aborted ? "aborted" : this.#mark,
    });
    onEnd();
  }

  /** True when nobody is left to answer. */
  #isGone(): boolean {
    return this.#state === "ended" || this.#cutReason !== undefined;
  }

  /** Writes the head; says whether a body follows it. Throws where an answer has begun, which is a bug of the caller. */
  #begin(status: number, headers: readonly HeaderPair[], length: number | undefined): boolean {
    if (this.#state !== "open") throw new Error("The request is answered already");
    if (!Number.isInteger(status) || status < 200 || status > 599)
      throw new Error(`${status} is not the status of a final answer`);
    this.writeHead(status, headers, length);
    this.#state = "answering";
    this.#status = status;
    return hasBody(status) && this.method !== "HEAD";
  }
}

function toRefusal(error: unknown): HttpError {
  return error instanceof HttpError
    ? error
    : new HttpError(500, "Internal error", { cause: error });
}

/** Answers of a busy or full server are no faults; those for a program behind this server are logged where it failed. */
function isExplained(status: number): boolean {
  return status > 500 && status <= 507;
}

function announcedLength(headers: readonly HeaderPair[]): number | undefined {
  const announced = headers.find(([name]) => name.toLowerCase() === "content-length")?.[1];
  if (announced === undefined) return undefined;
  if (!/^\d{1,15}$/.test(announced)) throw new Error(`"${announced}" is not a Content-Length`);
  return Number(announced);
}
