// The head of one HTTP/1 request as the lane reads it: byte by byte, in one pass, and only what it knows for certain. Anything
// else is "foreign" and goes to Node's parser untouched: what is answered here must be what Node's parser would have read.
// One object serves all requests of a front, one after the other; nothing of it is kept. Strings are made when they are asked for.

import type { ByteString } from "./exchange.ts";
import type { RequestLimits } from "../limits.ts";
import { decodePath } from "./target.ts";

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
  /** As Exchange.header, for the fields in READY_FIELDS. */
  header(name: string): ByteString | undefined;
}

/** Fields the lane remembers the place of. Each may be there once; a second one is foreign. */
export const READY_FIELDS = [
  "host",
  "user-agent",
  "referer",
  "accept-encoding",
  "if-none-match",
  "if-modified-since",
  "if-match",
  "if-unmodified-since",
  "if-range",
  "range",
  "connection",
] as const;

const FIELD_IDS: ReadonlyMap<string, number> = new Map(READY_FIELDS.map((name, id) => [name, id]));
/** They may change the answer to another than the whole (RFC 9110 13.1 and 14.2). If-Range alone changes nothing. */
export const CONDITIONAL_FIELDS: readonly string[] = [
  "if-none-match",
  "if-modified-since",
  "if-match",
  "if-unmodified-since",
  "range",
];
const CONDITIONAL_AT = CONDITIONAL_FIELDS.map((name) => 2 * (FIELD_IDS.get(name) ?? 0));
const HOST = READY_FIELDS.indexOf("host");
const USER_AGENT = READY_FIELDS.indexOf("user-agent");
const REFERER = READY_FIELDS.indexOf("referer");
const CONNECTION = READY_FIELDS.indexOf("connection");

/** Fields that change how a request is read, or which connection it is on. Node's parser knows what they mean. */
const FOREIGN_FIELDS = [
  "content-length",
  "expect",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
];
const FOREIGN = -2;
const UNKNOWN = -1;

const HTAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const SLASH = 0x2f;
const COLON = 0x3a;
/** Set in lower-case letters and in "-"; setting it turns nothing but upper-case letters and CR into one of these. */
const CASE_BIT = 0x20;

/** RFC 9110 5.6.2. */
const TOKEN = tableOf((byte) => /[\w!#$%&'*+.^`|~-]/.test(String.fromCharCode(byte)));
/** RFC 9110 5.5: visible characters, obs-text, space and tab. */
const VALUE = tableOf((byte) => byte === HTAB || (byte >= SPACE && byte !== 0x7f));
/** RFC 3986 3.3 and 3.4; other bytes are for Node's parser and parseTarget to judge. */
const TARGET = tableOf((byte) => /[\w!$%&'()*+,./:;=?@~-]/.test(String.fromCharCode(byte)));

type KnownName = { readonly bytes: Buffer; readonly id: number };
/** By length: most names of a request are told from all of these by that alone. */
const KNOWN_NAMES = byLength();

/** Instead of a place in the buffer: the bytes are right as far as they have come, or they are not for the lane. */
const PARTIAL = 0;
const STRANGE = -1;

const METHODS = [Buffer.from("GET "), Buffer.from("HEAD ")] as const;
const VERSION_LINE = Buffer.from("HTTP/1.1\r\n");
const MINOR_AT = VERSION_LINE.length - 3;
const ZERO = 0x30;
const KEEP_ALIVE = Buffer.from("keep-alive");
const CLOSE = Buffer.from("close");

const EMPTY = Buffer.alloc(0);

export class LaneHead implements ReadyRequest {
  #bytes: Buffer = EMPTY;
  #start = 0;
  #end = 0;
  #isHead = false;
  #isOld = false;
  #targetStart = 0;
  #targetEnd = 0;
  #lineEnd = 0;
  #closes = false;
  /** Start and end of the value of each of READY_FIELDS; 0 where it is missing. */
  readonly #ranges = new Int32Array(2 * READY_FIELDS.length);
  #text: ByteString | undefined;
  #target: ByteString = "/";
  #path: ByteString = "/";
  #query: ByteString | undefined;
  readonly #maxHeadBytes: number;
  readonly #maxTargetBytes: number;
  readonly #maxFields: number;

  constructor({ maxHeaderBytes, maxTargetBytes, maxHeaderFields }: RequestLimits) {
    this.#maxHeadBytes = Math.min(MAX_HEAD_BYTES, maxHeaderBytes - MARGIN_BYTES);
    this.#maxTargetBytes = maxTargetBytes;
    this.#maxFields = Math.min(MAX_FIELDS, maxHeaderFields);
  }

  /** Reads the head that starts at `start`. */
  parse(bytes: Buffer, start: number): HeadVerdict {
    this.#bytes = bytes;
    this.#start = start;
    this.#text = undefined;
    // Twenty of them: a loop costs less than a call.
    for (let at = 0; at < this.#ranges.length; at += 1) this.#ranges[at] = 0;
    // A head that goes on beyond this is not looked at to its end.
    const limit = Math.min(bytes.length, start + this.#maxHeadBytes);
    const at = this.#readLine(bytes, start, limit);
    const end = at > 0 ? this.#readFields(bytes, at, limit) : at;
    if (end === PARTIAL) return limit === bytes.length ? "partial" : "foreign";
    if (end === STRANGE) return "foreign";
    this.#end = end;
    return this.#readMeaning() ? "whole" : "foreign";
  }

  get method(): "GET" | "HEAD" {
    return this.#isHead ? "HEAD" : "GET";
  }
  get isHead(): boolean {
    return this.#isHead;
  }
  /** Whether the client wants the answer to be the last one. */
  get closes(): boolean {
    return this.#closes;
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
    return this.#path;
  }
  get query(): ByteString | undefined {
    return this.#query;
  }
  get target(): ByteString {
    return this.#target;
  }
  get isConditional(): boolean {
    for (const at of CONDITIONAL_AT) if (this.#ranges[at] !== 0) return true;
    return false;
  }
  get requestLine(): ByteString {
    return this.#slice(this.#start, this.#lineEnd);
  }
  get host(): ByteString {
    return this.#valueOf(HOST) ?? "";
  }
  get userAgent(): ByteString | undefined {
    return this.#valueOf(USER_AGENT);
  }
  get referer(): ByteString | undefined {
    return this.#valueOf(REFERER);
  }

  header(name: string): ByteString | undefined {
    const id = FIELD_IDS.get(name);
    // An answer that forgot a field would be a wrong one.
    if (id === undefined) throw new Error(`The lane does not keep the field "${name}"`);
    return this.#valueOf(id);
  }

  #valueOf(id: number): ByteString | undefined {
    const start = this.#ranges[2 * id] ?? 0;
    return start === 0 ? undefined : this.#slice(start, this.#ranges[2 * id + 1] ?? start);
  }

  /** One copy out of the buffer, and the parts of it: a call into C++ for each of them would cost more. */
  #slice(start: number, end: number): ByteString {
    const text = (this.#text ??= this.#bytes.toString("latin1", this.#start, this.#end));
    return text.slice(start - this.#start, end - this.#start);
  }

  /** The request line; returns where the fields begin. */
  #readLine(bytes: Buffer, start: number, limit: number): number {
    const method = readMethod(bytes, start, limit);
    if (method <= 0) return method;
    this.#isHead = method === METHODS[1].length;
    let at = start + method;
    if (at === limit) return PARTIAL;
    if (bytes[at] !== SLASH) return STRANGE;
    this.#targetStart = at;
    while (at < limit && TARGET[bytes[at] ?? 0] === 1) at += 1;
    if (at === limit) return PARTIAL;
    if (bytes[at] !== SPACE || at - this.#targetStart > this.#maxTargetBytes) return STRANGE;
    this.#targetEnd = at;
    return this.#readVersion(bytes, at + 1, limit);
  }

  #readVersion(bytes: Buffer, start: number, limit: number): number {
    const wanted = VERSION_LINE.length;
    for (let index = 0; index < wanted; index += 1) {
      if (start + index === limit) return PARTIAL;
      if (bytes[start + index] === VERSION_LINE[index]) continue;
      if (index !== MINOR_AT || bytes[start + index] !== ZERO) return STRANGE;
    }
    this.#isOld = bytes[start + MINOR_AT] === ZERO;
    this.#lineEnd = start + wanted - 2;
    return start + wanted;
  }

  /** The fields; returns where the head ends. */
  #readFields(bytes: Buffer, start: number, limit: number): number {
    let at = start;
    for (let count = 0; count <= this.#maxFields; count += 1) {
      if (at === limit) return PARTIAL;
      if (bytes[at] === CR) {
        if (at + 1 === limit) return PARTIAL;
        return bytes[at + 1] === LF ? at + 2 : STRANGE;
      }
      const nameStart = at;
      while (at < limit && TOKEN[bytes[at] ?? 0] === 1) at += 1;
      if (at === limit) return PARTIAL;
      // Also a line that goes on the one before: that starts with a space.
      if (bytes[at] !== COLON || at === nameStart) return STRANGE;
      const id = identify(bytes, nameStart, at - nameStart);
      if (id === FOREIGN) return STRANGE;
      at += 1;
      while (at < limit && (bytes[at] === SPACE || bytes[at] === HTAB)) at += 1;
      const valueStart = at;
      while (at < limit && VALUE[bytes[at] ?? 0] === 1) at += 1;
      if (at === limit) return PARTIAL;
      if (bytes[at] !== CR) return STRANGE;
      if (at + 1 === limit) return PARTIAL;
      if (bytes[at + 1] !== LF) return STRANGE;
      if (id !== UNKNOWN) {
        if (this.#ranges[2 * id] !== 0) return STRANGE;
        let end = at;
        while (end > valueStart && (bytes[end - 1] === SPACE || bytes[end - 1] === HTAB)) end -= 1;
        this.#ranges[2 * id] = valueStart;
        this.#ranges[2 * id + 1] = end;
      }
      at += 2;
    }
    return STRANGE;
  }

  /** What is right by its bytes must also be understood. */
  #readMeaning(): boolean {
    // Every request of HTTP/1.1 has one; without it those of 1.0 are rare enough.
    if (this.#ranges[2 * HOST] === 0) return false;
    const start = this.#ranges[2 * CONNECTION] ?? 0;
    const end = this.#ranges[2 * CONNECTION + 1] ?? 0;
    this.#closes = this.#isOld;
    if (start !== 0) {
      if (isWord(this.#bytes, start, end, KEEP_ALIVE)) this.#closes = false;
      else if (isWord(this.#bytes, start, end, CLOSE)) this.#closes = true;
      else return false;
    }
    const target = this.#slice(this.#targetStart, this.#targetEnd);
    const mark = target.indexOf("?");
    const path = decodePath(mark === -1 ? target : target.slice(0, mark));
    if (path === undefined) return false;
    this.#target = target;
    this.#path = path;
    this.#query = mark === -1 ? undefined : target.slice(mark + 1);
    return true;
  }
}

/** Length of the method and the space behind it. */
function readMethod(bytes: Buffer, start: number, limit: number): number {
  const method = bytes[start] === METHODS[0][0] ? METHODS[0] : METHODS[1];
  for (let index = 0; index < method.length; index += 1) {
    if (start + index === limit) return PARTIAL;
    if (bytes[start + index] !== method[index]) return STRANGE;
  }
  return method.length;
}

/** Which of the known fields a name is. */
function identify(bytes: Buffer, start: number, length: number): number {
  const candidates = KNOWN_NAMES[length];
  if (!candidates) return UNKNOWN;
  for (const { bytes: name, id } of candidates)
    if (isWord(bytes, start, start + length, name)) return id;
  return UNKNOWN;
}

/** Compares with a word of lower-case letters and "-", without regard to case. There is no CR among the bytes. */
function isWord(bytes: Buffer, start: number, end: number, word: Buffer): boolean {
  if (end - start !== word.length) return false;
  for (let index = 0; index < word.length; index += 1)
    if (((bytes[start + index] ?? 0) | CASE_BIT) !== word[index]) return false;
  return true;
}

function byLength(): readonly (readonly KnownName[] | undefined)[] {
  const names: KnownName[] = [
    ...READY_FIELDS.map((name, id) => ({ bytes: Buffer.from(name), id })),
    ...FOREIGN_FIELDS.map((name) => ({ bytes: Buffer.from(name), id: FOREIGN })),
  ];
  const longest = Math.max(...names.map(({ bytes }) => bytes.length));
  return Array.from({ length: longest + 1 }, (_, length) => {
    const same = names.filter(({ bytes }) => bytes.length === length);
    return same.length === 0 ? undefined : same;
  });
}

function tableOf(holds: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (holds(byte) ? 1 : 0));
}
