// Turns a program's output into the answer of one exchange. What looks complete to the client is complete:
// an output that ends too early cuts the answer.

import { once } from "node:events";
import type { Writable } from "node:stream";
import type { Exit } from "../../../posix/child.ts";
import type { ByteString, HttpError, Exchange } from "../../http/exchange.ts";
import { CgiHeadReader, CgiOutputError, type CgiHead } from "./response-head.ts";

/** "over": complete, refused, or cut. What the program still writes then is dropped. */
type State = "head" | "first-byte" | "body" | "over";

/** Answers that have no body (RFC 9110 15.3.5, 15.3.6, 15.4.5), whatever a program writes. */
const BODILESS: ReadonlySet<number> = new Set([204, 205, 304]);

export type AnswerOptions = {
  /** Aborts with the client. */
  readonly gone: AbortSignal;
  /** The output is a whole response, from the status line on. */
  readonly isNph: boolean;
  /** Hears what is odd and yet no failure. */
  readonly remark: (message: string) => void;
};

/** One answer, fed with output. */
export class CgiAnswer {
  readonly #exchange: Exchange;
  readonly #gone: AbortSignal;
  readonly #remark: (message: string) => void;
  readonly #head: CgiHeadReader;
  #state: State = "head";
  /** A head that waits until it is known whether a body follows. */
  #pending: CgiHead | undefined;
  #out: Writable | undefined;
  /** What is missing of Content-Length. */
  #leftBytes: number | undefined;
  #waitsForClient = false;
  #redirect: ByteString | undefined;

  constructor(exchange: Exchange, { gone, isNph, remark }: AnswerOptions) {
    this.#exchange = exchange;
    this.#head = new CgiHeadReader(isNph);
    this.#gone = gone;
    this.#remark = remark;
  }

  get isOver(): boolean {
    return this.#state === "over";
  }

  /** Where the answer is to be found instead; nothing was sent. */
  get redirect(): ByteString | undefined {
    return this.#redirect;
  }

  /** The client has yet to take what it was sent. */
  get waitsForClient(): boolean {
    return this.#waitsForClient;
  }

  /** Takes output; resolves when the client can take more. Throws CgiOutputError when it is no answer. */
  async take(chunk: Buffer): Promise<void> {
    let bytes = chunk;
    if (this.#state === "head") {
      const read = this.#head.push(chunk);
      if (!read) return;
      this.#begin(read.head);
      bytes = read.rest;
    }
    if (bytes.length === 0) return;
    if (this.#state === "first-byte") throw new CgiOutputError("A body without Content-Type");
    await this.#write(bytes);
  }

  /** Takes all of an output that has ended, instead of `take` and `end`. Throws CgiOutputError, and nothing was sent then. */
  takeAll(output: Buffer, exit: Exit): void {
    const read = this.#head.push(output);
    if (!read || exit.signal !== null) return this.end(exit);
    const { head, rest } = read;
    const { status, bodyBytes } = head;
    if (head.localRedirect !== undefined || bodyBytes === 0 || !this.#sendsBody(status)) {
      this.#begin(head);
      if (bodyBytes === 0 && rest.length > 0) this.#cutExcess();
      return;
    }
    if (!head.hasContentType && (rest.length > 0 || bodyBytes !== undefined))
      throw new CgiOutputError("A body without Content-Type");
    if (bodyBytes !== undefined && rest.length < bodyBytes) throw tooShort(bodyBytes - rest.length);
    this.#exchange.send(status, head.headers, rest.subarray(0, bodyBytes));
    this.#state = "over";
    if (bodyBytes !== undefined && rest.length > bodyBytes) this.#cutExcess();
  }

  /** The output has ended. `exit` is how the program did, undefined while it runs on. Throws CgiOutputError. */
  end(exit: Exit | undefined): void {
    if (this.#state === "over") return;
    if (exit?.signal) throw new CgiOutputError(`Killed by ${exit.signal}`);
    if (this.#state === "head")
      throw new CgiOutputError(`No complete head${exit ? `, exit status ${exit.code}` : ""}`);
    if (this.#leftBytes !== undefined) throw tooShort(this.#leftBytes);
    if (this.#pending) this.#exchange.send(this.#pending.status, this.#pending.headers);
    this.#out?.end();
    this.#state = "over";
  }

  /** Ends it badly: with `error` while nothing was sent, by cutting the connection afterwards. */
  refuse(error: HttpError): void {
    const state = this.#state;
    this.#state = "over";
    if (state === "head" || state === "first-byte") this.#exchange.fail(error);
    else if (state === "body") this.#exchange.abort(error.message);
  }

  /** The client has gone. */
  leave(): void {
    this.#state = "over";
  }

  #begin(head: CgiHead): void {
    const { status, headers, bodyBytes } = head;
    if (head.localRedirect !== undefined) {
      this.#redirect = head.localRedirect;
      this.#state = "over";
      return;
    }
    // The state changes last: what the exchange refuses to send can still become an error page.
    if (!this.#sendsBody(status)) {
      this.#sendHead(head);
      this.#state = "over";
    } else if (bodyBytes === 0) {
      this.#exchange.send(status, headers);
      this.#leftBytes = 0;
      this.#state = "over";
    } else if (head.hasContentType) {
      this.#out = this.#stream(head);
      this.#leftBytes = bodyBytes;
      this.#state = "body";
    } else {
      // RFC 3875 6.3.1 asks for a type only if there is a body: the next byte or the end decides.
      if (bodyBytes !== undefined) throw new CgiOutputError("A body without Content-Type");
      this.#state = "first-byte";
      this.#pending = head;
    }
  }

  #sendsBody(status: number): boolean {
    return !BODILESS.has(status) && this.#exchange.method !== "HEAD";
  }

  #sendHead(head: CgiHead): void {
    if (BODILESS.has(head.status)) this.#exchange.send(head.status, head.headers);
    else this.#stream(head).end(); // HEAD: the headers of a body that nobody has measured.
  }

  #stream(head: CgiHead): Writable {
    const length =
      head.bodyBytes === undefined ? [] : [["Content-Length", String(head.bodyBytes)] as const];
    const out = this.#exchange.stream(head.status, [...head.headers, ...length]);
    out.on("error", () => {}); // Exchange.onAbort tells of it too.
    return out;
  }

  async #write(bytes: Buffer): Promise<void> {
    const left = this.#leftBytes;
    const out = this.#out;
    if (out === undefined || this.#state === "over") {
      if (left === 0) this.#cutExcess();
      return;
    }
    const hasRoom = out.write(left === undefined ? bytes : bytes.subarray(0, left));
    if (left === undefined || bytes.length < left) {
      if (left !== undefined) this.#leftBytes = left - bytes.length;
      if (!hasRoom) await this.#drained(out);
      return;
    }
    this.#leftBytes = 0;
    this.#state = "over";
    out.end();
    if (bytes.length > left) this.#cutExcess();
  }

  /** Says once that there was more than Content-Length announced. */
  #cutExcess(): void {
    this.#leftBytes = undefined;
    this.#remark("More output than its Content-Length: cut");
  }

  async #drained(out: Writable): Promise<void> {
    this.#waitsForClient = true;
    await once(out, "drain", { signal: this.#gone }).catch(() => {}); // It has gone: nothing to wait for.
    this.#waitsForClient = false;
  }
}

function tooShort(bytes: number): CgiOutputError {
  return new CgiOutputError(`${bytes} bytes short of its Content-Length`);
}
