// Fields of answers as HPACK (RFC 7541). Only the static table is used: so a block is the same bytes on every connection and can
// be made once, nothing a client does makes us keep state for it, and no secret shows in a length (RFC 7541 7.1).

import { encodeHuffman, huffmanBytes } from "./huffman.ts";
import { staticNames, staticStatuses } from "./hpack-static.ts";

/** Encoded fields that are remembered; then all are forgotten. */
const MAX_REMEMBERED = 1_024;
/** Longer values are different every time. */
const MAX_REMEMBERED_CHARACTERS = 128;

const INDEXED = 0x80;
/** Without indexing: the peer does not add it to its table. */
const LITERAL = 0x00;
/** Never indexed (RFC 7541 6.2.3): not by a proxy in between either. */
const SENSITIVE = 0x10;
const STATUS_NAME = 8;

const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** Controls but tabs, and what is no byte. */
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const FORBIDDEN = /[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u00ff]/;

/** White space of HTTP alone: others are bytes like any (RFC 9110 5.5). */
const SPACE_AROUND = /^[\t ]+|[\t ]+$/g;

/** The block of one answer, in pieces that others may share. */
export type EncodedBlock = { readonly pieces: readonly Buffer[]; readonly bytes: number };

export type FieldEncoder = {
  /** `fields` alternates names and values. Throws for what cannot stand in a field. */
  encode(status: number, fields: readonly string[]): EncodedBlock;
  /** The same without a Date. */
  undated(status: number, fields: readonly string[]): Buffer;
  /** The Date of now. */
  date(): Buffer;
};

/** Makes an encoder; one serves all connections of a front. */
export function createFieldEncoder(now: () => number = Date.now): FieldEncoder {
  const remembered = new Map<string, Map<string, Buffer>>();
  let count = 0;
  let second = Number.NaN;
  let date: Buffer = Buffer.alloc(0);

  function fieldBytes(name: string, value: string): Buffer {
    const known = remembered.get(name)?.get(value);
    if (known) return known;
    const encoded = encodeField(name.toLowerCase(), value);
    if (value.length > MAX_REMEMBERED_CHARACTERS) return encoded;
    if (count >= MAX_REMEMBERED) {
      remembered.clear();
      count = 0;
    }
    count += 1;
    const values = remembered.get(name) ?? new Map<string, Buffer>();
    remembered.set(name, values.set(value, encoded));
    return encoded;
  }

  function currentDate(): Buffer {
    const time = Math.floor(now() / 1000);
    if (time !== second) {
      second = time;
      date = encodeField("date", new Date(time * 1000).toUTCString());
    }
    return date;
  }

  return {
    date: currentDate,
    undated(status, fields) {
      const pieces = [encodeStatus(status)];
      for (let at = 0; at + 1 < fields.length; at += 2)
        pieces.push(fieldBytes(fields[at] ?? "", fields[at + 1] ?? ""));
      return Buffer.concat(pieces);
    },
    encode(status, fields) {
      const first = encodeStatus(status);
      const pieces = [first];
      let bytes = first.length;
      let hasDate = status < 200;
      for (let at = 0; at + 1 < fields.length; at += 2) {
        const name = fields[at] ?? "";
        if (name.length === 4 && name.toLowerCase() === "date") hasDate = true;
        const piece = fieldBytes(name, fields[at + 1] ?? "");
        pieces.push(piece);
        bytes += piece.length;
      }
      if (hasDate) return { pieces, bytes };
      pieces.push(currentDate());
      return { pieces, bytes: bytes + date.length };
    },
  };
}

const statuses = new Map<number, Buffer>(
  [...staticStatuses].map(([status, index]) => [status, Buffer.of(INDEXED | index)]),
);

function encodeStatus(status: number): Buffer {
  return (
    statuses.get(status) ??
    Buffer.concat([encodeInteger(LITERAL, 4, STATUS_NAME), encodeString(String(status))])
  );
}

/** One field; `name` in lower case. */
export function encodeField(name: string, value: string): Buffer {
  if (!NAME.test(name)) throw new Error(`"${name}" cannot be the name of a field`);
  const text = value.replace(SPACE_AROUND, "");
  if (FORBIDDEN.test(text)) throw new Error(`The value of "${name}" cannot stand in a field`);
  const kind = name === "set-cookie" ? SENSITIVE : LITERAL;
  const index = staticNames.get(name) ?? 0;
  const parts = [encodeInteger(kind, 4, index)];
  if (index === 0) parts.push(encodeString(name));
  parts.push(encodeString(text));
  return Buffer.concat(parts);
}

/** RFC 7541 5.1. */
export function encodeInteger(pattern: number, prefixBits: number, value: number): Buffer {
  const mask = (1 << prefixBits) - 1;
  if (value < mask) return Buffer.of(pattern | value);
  const bytes = [pattern | mask];
  let rest = value - mask;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push(0x80 | (rest & 0x7f));
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** RFC 7541 5.2: whichever is shorter. */
function encodeString(text: string): Buffer {
  const packed = huffmanBytes(text);
  if (packed >= text.length)
    return Buffer.concat([encodeInteger(0, 7, text.length), Buffer.from(text, "latin1")]);
  const string = Buffer.alloc(packed);
  encodeHuffman(text, string, 0);
  return Buffer.concat([encodeInteger(0x80, 7, packed), string]);
}
