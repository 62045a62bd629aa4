// The request line as the lane reads it. One object serves all requests of a front; strings of lines that many ask are kept.

import { ByteMemory, type Known } from "./byte-memory.ts";
import type { ByteString } from "./exchange.ts";
import { PARTIAL, SPACE, STRANGE, tableOf } from "./lane-bytes.ts";
import { decodePath } from "./target.ts";

/** Lines that are remembered, and how long one may be. */
const PLACES = 256;
const MAX_KEPT_BYTES = 256;

/** RFC 3986 3.3 and 3.4; other bytes are for Node's parser and parseTarget to judge. */
const TARGET = tableOf((byte) => /[\w!$%&'()*+,./:;=?@~-]/.test(String.fromCharCode(byte)));
const METHODS = [Buffer.from("GET "), Buffer.from("HEAD ")] as const;
const VERSION_LINE = Buffer.from("HTTP/1.1\r\n");
const MINOR_AT = VERSION_LINE.length - 3;
const ZERO = 0x30;
const SLASH = 0x2f;
const EMPTY = Buffer.alloc(0);

/** A line as text. */
type Texts = Known & {
  readonly line: ByteString;
  readonly target: ByteString;
  readonly path: ByteString;
  readonly query: ByteString | undefined;
};

const NOTHING_READ: Texts = { bytes: EMPTY, line: "", target: "/", path: "/", query: undefined };

export class LaneLine {
  readonly #maxTargetBytes: number;
  readonly #memory = new ByteMemory<Texts>(PLACES);
  #bytes: Buffer = EMPTY;
  #start = 0;
  #end = 0;
  #targetEnd = 0;
  #targetStart = 0;
  #key = 0;
  #texts = NOTHING_READ;
  isHead = false;
  /** Of HTTP/1.0. */
  isOld = false;

  constructor(maxTargetBytes: number) {
    this.#maxTargetBytes = maxTargetBytes;
  }

  /** Reads the line; returns where the fields begin. */
  read(bytes: Buffer, start: number, limit: number): number {
    const method = readMethod(bytes, start, limit);
    if (method <= 0) return method;
    this.isHead = method === METHODS[1].length;
    let at = start + method;
    if (at === limit) return PARTIAL;
    if (bytes[at] !== SLASH) return STRANGE;
    this.#bytes = bytes;
    this.#start = start;
    this.#targetStart = at;
    let key = method;
    for (; at < limit; at += 1) {
      const byte = bytes[at] ?? 0;
      if (TARGET[byte] !== 1) break;
      key = (Math.imul(key, 31) + byte) | 0;
    }
    this.#key = key;
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
    this.isOld = bytes[start + MINOR_AT] === ZERO;
    this.#end = start + wanted - 2;
    return start + wanted;
  }

  /** Makes text of what was read; false where the path is none. */
  understand(): boolean {
    const texts =
      this.#memory.find(this.#key, this.#bytes, this.#start, this.#end) ?? this.#takeTexts();
    if (texts === undefined) return false;
    this.#texts = texts;
    return true;
  }

  #takeTexts(): Texts | undefined {
    const start = this.#start;
    const line = this.#bytes.toString("latin1", start, this.#end);
    const target = line.slice(this.#targetStart - start, this.#targetEnd - start);
    const mark = target.indexOf("?");
    const path = decodePath(mark === -1 ? target : target.slice(0, mark));
    if (path === undefined) return undefined;
    const query = mark === -1 ? undefined : target.slice(mark + 1);
    // A query may hold what only one client knows.
    const isKept =
      mark === -1 && this.#end - start <= MAX_KEPT_BYTES && this.#memory.isRepeated(this.#key);
    const bytes = isKept ? Buffer.from(this.#bytes.subarray(start, this.#end)) : EMPTY;
    const texts = { bytes, line, target, path, query };
    if (isKept) this.#memory.keep(this.#key, texts);
    return texts;
  }

  get text(): ByteString {
    return this.#texts.line;
  }
  get target(): ByteString {
    return this.#texts.target;
  }
  get path(): ByteString {
    return this.#texts.path;
  }
  get query(): ByteString | undefined {
    return this.#texts.query;
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
