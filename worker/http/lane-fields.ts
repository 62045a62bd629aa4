// The fields of a request as the lane reads them, from the first of them to the empty line behind the last. Blocks of fields that come
// again and again, as a browser or another server sends them, are read once, and their strings are made once.

import { ByteMemory, startsWith, type Known } from "./byte-memory.ts";
import type { ByteString } from "./exchange.ts";
import { CR, HTAB, isWord, LF, PARTIAL, SPACE, STRANGE, tableOf } from "./lane-bytes.ts";

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

/** They may change the answer to another than the whole (RFC 9110 13.1 and 14.2). If-Range alone changes nothing. */
export const CONDITIONAL_FIELDS: readonly string[] = [
  "if-none-match",
  "if-modified-since",
  "if-match",
  "if-unmodified-since",
  "range",
];

/** Fields that change how a request is read, or which connection it is on. Node's parser knows what they mean. */
const FOREIGN_FIELDS = [
  "content-length",
  "expect",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
];
/** What they say is for one client alone, and not remembered. */
const PRIVATE_FIELDS = ["authorization", "cookie", "proxy-authorization"];

const FIELD_IDS: ReadonlyMap<string, number> = new Map(READY_FIELDS.map((name, id) => [name, id]));
const CONDITIONAL_IDS = CONDITIONAL_FIELDS.map((name) => FIELD_IDS.get(name) ?? 0);
export const HOST = READY_FIELDS.indexOf("host");
export const USER_AGENT = READY_FIELDS.indexOf("user-agent");
export const REFERER = READY_FIELDS.indexOf("referer");
const CONNECTION = READY_FIELDS.indexOf("connection");
const UNKNOWN = -1;
const FOREIGN = -2;
const PRIVATE = -3;

type KnownName = { readonly bytes: Buffer; readonly id: number };
/** By length: most names of a request are told from all of these by that alone. */
const KNOWN_NAMES = byLength();

const COLON = 0x3a;
/** RFC 9110 5.6.2. */
const TOKEN = tableOf((byte) => /[\w!#$%&'*+.^`|~-]/.test(String.fromCharCode(byte)));
/** RFC 9110 5.5: visible characters, obs-text, space and tab. */
const VALUE = tableOf((byte) => byte === HTAB || (byte >= SPACE && byte !== 0x7f));
const KEEP_ALIVE = Buffer.from("keep-alive");
const CLOSE = Buffer.from("close");
const EMPTY = Buffer.alloc(0);

/** Blocks that are remembered, and how long one may be. */
const PLACES = 128;
const MAX_KEPT_BYTES = 2 * 1024;

/** Reads blocks of fields one after the other, and remembers some of them. */
export class FieldReader {
  readonly #maxFields: number;
  readonly #memory = new ByteMemory<LaneFields>(PLACES);
  /** For those that are not remembered. */
  readonly #passing: LaneFields;
  /** Those of the last request: the next one most likely says the same. */
  #last: LaneFields;

  constructor(maxFields: number) {
    this.#maxFields = maxFields;
    this.#passing = new LaneFields();
    this.#last = this.#passing;
  }

  /** The fields that were read last. */
  get fields(): LaneFields {
    return this.#last;
  }

  /** The same, where they are remembered. */
  get lasting(): LaneFields | undefined {
    return this.#last === this.#passing ? undefined : this.#last;
  }

  /** Reads the block that starts at `start`; returns where it ends. */
  read(bytes: Buffer, start: number, limit: number): number {
    const last = this.#last;
    if (last !== this.#passing && start + last.bytes.length <= limit)
      if (startsWith(bytes, start, last.bytes)) return start + last.bytes.length;
    // Nearly always a block ends where the bytes end that came together.
    const isKeepable = limit === bytes.length && limit - start <= MAX_KEPT_BYTES;
    const key = isKeepable ? sample(bytes, start, limit) : 0;
    const known = isKeepable ? this.#memory.find(key, bytes, start, limit) : undefined;
    if (known) {
      this.#last = known;
      return limit;
    }
    this.#last = this.#passing;
    const end = this.#passing.read(bytes, start, limit, this.#maxFields);
    if (end === limit && isKeepable && !this.#passing.isPrivate && this.#memory.isRepeated(key)) {
      const kept = new LaneFields();
      kept.read(Buffer.from(bytes.subarray(start, end)), 0, end - start, this.#maxFields);
      this.#memory.keep(key, kept);
      this.#last = kept;
    }
    return end;
  }
}

/** One block of fields. */
export class LaneFields implements Known {
  bytes: Buffer = EMPTY;
  #start = 0;
  #end = 0;
  /** Start and end of the value of each of READY_FIELDS; -1 where it is missing. */
  readonly #ranges = new Int32Array(2 * READY_FIELDS.length);
  readonly #values: (ByteString | undefined)[] = READY_FIELDS.map(() => undefined);
  #text: ByteString | undefined;
  isPrivate = false;
  /** Whether it has any of CONDITIONAL_FIELDS. */
  isConditional = false;
  /** What Connection says. */
  connection: "close" | "keep-alive" | undefined;

  /** Returns where the block ends. */
  read(bytes: Buffer, start: number, limit: number, maxFields: number): number {
    this.bytes = bytes;
    this.#start = start;
    this.#text = undefined;
    this.isPrivate = false;
    // Twenty of them: a loop costs less than a call.
    for (let at = 0; at < this.#ranges.length; at += 1) this.#ranges[at] = -1;
    for (let id = 0; id < this.#values.length; id += 1) this.#values[id] = undefined;
    const end = this.#readAll(bytes, start, limit, maxFields);
    if (end <= 0) return end;
    this.#end = end;
    return this.#readMeaning(bytes) ? end : STRANGE;
  }

  #readAll(bytes: Buffer, start: number, limit: number, maxFields: number): number {
    let at = start;
    for (let count = 0; count <= maxFields; count += 1) {
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
      if (id >= 0) {
        if (this.#ranges[2 * id] !== -1) return STRANGE;
        let end = at;
        while (end > valueStart && (bytes[end - 1] === SPACE || bytes[end - 1] === HTAB)) end -= 1;
        this.#ranges[2 * id] = valueStart;
        this.#ranges[2 * id + 1] = end;
      } else if (id === PRIVATE) this.isPrivate = true;
      at += 2;
    }
    return STRANGE;
  }

  /** What is right by its bytes must also be understood. */
  #readMeaning(bytes: Buffer): boolean {
    // Every request of HTTP/1.1 has one; without it those of 1.0 are rare enough.
    if (!this.#has(HOST)) return false;
    this.isConditional = false;
    for (const id of CONDITIONAL_IDS) if (this.#has(id)) this.isConditional = true;
    this.connection = undefined;
    if (!this.#has(CONNECTION)) return true;
    const start = this.#ranges[2 * CONNECTION] ?? 0;
    const end = this.#ranges[2 * CONNECTION + 1] ?? 0;
    if (isWord(bytes, start, end, KEEP_ALIVE)) this.connection = "keep-alive";
    else if (isWord(bytes, start, end, CLOSE)) this.connection = "close";
    return this.connection !== undefined;
  }

  #has(id: number): boolean {
    return this.#ranges[2 * id] !== -1;
  }

  /** As Exchange.header, for READY_FIELDS. */
  header(name: string): ByteString | undefined {
    const id = FIELD_IDS.get(name);
    // An answer that forgot a field would be a wrong one.
    if (id === undefined) throw new Error(`The lane does not keep the field "${name}"`);
    return this.value(id);
  }

  /** The value of one of READY_FIELDS by its place there. */
  value(id: number): ByteString | undefined {
    return this.#values[id] ?? (this.#has(id) ? this.#take(id) : undefined);
  }

  /** A value is this string from now on, which has the same characters. */
  adopt(id: number, text: ByteString): void {
    this.#values[id] = text;
  }

  /** One copy out of the buffer, and the parts of it: a call into C++ for each of them would cost more. */
  #take(id: number): ByteString {
    const text = (this.#text ??= this.bytes.toString("latin1", this.#start, this.#end));
    const start = (this.#ranges[2 * id] ?? 0) - this.#start;
    const end = (this.#ranges[2 * id + 1] ?? 0) - this.#start;
    return (this.#values[id] = text.slice(start, end));
  }
}

/** A number that differs between most blocks: of their length and a few of their bytes. */
function sample(bytes: Buffer, start: number, end: number): number {
  const length = end - start;
  let key = length;
  const step = (length >> 4) + 1;
  for (let at = start; at < end; at += step) key = (Math.imul(key, 31) + (bytes[at] ?? 0)) | 0;
  return key;
}

/** Which of the known fields a name is. */
function identify(bytes: Buffer, start: number, length: number): number {
  const candidates = KNOWN_NAMES[length];
  if (!candidates) return UNKNOWN;
  for (const { bytes: name, id } of candidates)
    if (isWord(bytes, start, start + length, name)) return id;
  return UNKNOWN;
}

function byLength(): readonly (readonly KnownName[] | undefined)[] {
  const names: KnownName[] = [
    ...READY_FIELDS.map((name, id) => ({ bytes: Buffer.from(name), id })),
    ...FOREIGN_FIELDS.map((name) => ({ bytes: Buffer.from(name), id: FOREIGN })),
    ...PRIVATE_FIELDS.map((name) => ({ bytes: Buffer.from(name), id: PRIVATE })),
  ];
  const longest = Math.max(...names.map(({ bytes }) => bytes.length));
  return Array.from({ length: longest + 1 }, (_, length) => {
    const same = names.filter(({ bytes }) => bytes.length === length);
    return same.length === 0 ? undefined : same;
  });
}
