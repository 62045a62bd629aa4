// The head of one HTTP/1 request as the lane reads it: byte by byte, in one pass, and only what it knows for certain. Anything
// else is "foreign" and goes to Node's parser untouched: what is answered here must be what Node's parser would have read.
// One object serves all requests of a front, one after the other. Strings are made when they are asked for.

import type { ByteString } from "./exchange.ts";
import type { RequestLimits } from "../limits.ts";
import { PARTIAL } from "./lane-bytes.ts";
import { FieldReader, HOST, REFERER, USER_AGENT } from "./lane-fields.ts";
import { LaneLine } from "./lane-line.ts";

/** Longer heads are Node's, which knows how to refuse them. */
const MAX_HEAD_BYTES = 8 * 1024;
/** So are heads with more fields, and whatever comes near a configured limit: what exactly counts for it, one place decides. */
const MAX_FIELDS = 100;
const MARGIN_BYTES = 256;

/** whole: a request without a body. partial: right so far. foreign: for Node's parser. */
export type HeadVerdict = "whole" | "partial" | "foreign";

/** What a mount may ask of a request that it could answer at once. Valid during the call only. */
export interface ReadyRequest {
  readonly method: "GET" | "HEAD";
  /** As Exchange.path, Exchange.query and Exchange.target. */
  readonly path: ByteString;
  readonly query: ByteString | undefined;
  readonly target: ByteString;
  /** Whether it has any of CONDITIONAL_FIELDS. */
  readonly isConditional: boolean;
  /** Where two requests have the same object here, they have the same fields. */
  readonly fields: object | undefined;
  /** performance.now() when it was looked at. */
  readonly now: number;
  /** As Exchange.header, for the fields in READY_FIELDS. */
  header(name: string): ByteString | undefined;
}

export class LaneHead implements ReadyRequest {
  readonly #line: LaneLine;
  readonly #reader: FieldReader;
  readonly #maxHeadBytes: number;
  #start = 0;
  #end = 0;
  now = 0;

  constructor({ maxHeaderBytes, maxTargetBytes, maxHeaderFields }: RequestLimits) {
    this.#maxHeadBytes = Math.min(MAX_HEAD_BYTES, maxHeaderBytes - MARGIN_BYTES);
    this.#line = new LaneLine(maxTargetBytes);
    this.#reader = new FieldReader(Math.min(MAX_FIELDS, maxHeaderFields));
  }

  /** Reads the head that starts at `start`. */
  parse(bytes: Buffer, start: number): HeadVerdict {
    this.#start = start;
    // A head that goes on beyond this is not looked at to its end.
    const limit = Math.min(bytes.length, start + this.#maxHeadBytes);
    const at = this.#line.read(bytes, start, limit);
    const end = at > 0 ? this.#reader.read(bytes, at, limit) : at;
    if (end === PARTIAL) return limit === bytes.length ? "partial" : "foreign";
    if (end < PARTIAL || !this.#line.understand()) return "foreign";
    this.#end = end;
    return "whole";
  }

  get method(): "GET" | "HEAD" {
    return this.#line.isHead ? "HEAD" : "GET";
  }
  get isHead(): boolean {
    return this.#line.isHead;
  }
  /** Whether the client wants the answer to be the last one. */
  get closes(): boolean {
    const { connection } = this.#reader.fields;
    return connection === undefined ? this.#line.isOld : connection === "close";
  }
  /** Where the next request starts. */
  get end(): number {
    return this.#end;
  }
  /** Bytes of this head. */
  get length(): number {
    return this.#end - this.#start;
  }
  get path(): ByteString {
    return this.#line.path;
  }
  get query(): ByteString | undefined {
    return this.#line.query;
  }
  get target(): ByteString {
    return this.#line.target;
  }
  get requestLine(): ByteString {
    return this.#line.text;
  }
  get isConditional(): boolean {
    return this.#reader.fields.isConditional;
  }
  get fields(): object | undefined {
    return this.#reader.lasting;
  }
  get host(): ByteString {
    return this.#reader.fields.value(HOST) ?? "";
  }
  /** `host` is this string from now on, which has the same characters: to compare a string with itself costs nothing. */
  adoptHost(host: ByteString): void {
    this.#reader.fields.adopt(HOST, host);
  }
  get userAgent(): ByteString | undefined {
    return this.#reader.fields.value(USER_AGENT);
  }
  get referer(): ByteString | undefined {
    return this.#reader.fields.value(REFERER);
  }
  header(name: string): ByteString | undefined {
    return this.#reader.fields.header(name);
  }
}
