// An HPACK decoder (RFC 7541): a block of fields as bytes -> fields. Both tables, Huffman, size updates; what a block may grow
// to is limited, and beyond that nothing is kept but the table in step with the peer's.

import type { Field } from "./field.ts";
import { makeField } from "./field.ts";
import { ConnectionFault } from "./frame.ts";
import { staticFields, STATIC_COUNT } from "./hpack-static.ts";
import { DynamicTable } from "./hpack-table.ts";
import { decodeHuffman } from "./huffman.ts";

/** Five bytes hold 28 bits beyond the prefix; nothing here is that large. */
const MAX_INTEGER_SHIFT = 28;

export type DecoderOptions = {
  /** What our SETTINGS_HEADER_TABLE_SIZE says. */
  readonly tableBytes: number;
  /** As Http2Limits.headerListBytes. */
  readonly listBytes: number;
};

export type DecodedFields = {
  readonly fields: readonly Field[];
  /** There were more than the limit allows; `fields` holds the first of them. */
  readonly isTooLarge: boolean;
};

export class HpackDecoder {
  readonly #options: DecoderOptions;
  readonly #table: DynamicTable;
  /** For Huffman strings; grows to what is needed, and is not there while nothing needed it. */
  #scratch: Buffer | undefined;
  #source: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  constructor(options: DecoderOptions) {
    this.#options = options;
    this.#table = new DynamicTable(options.tableBytes);
  }

  /** As long as it stays the same, a block means the same. */
  get generation(): number {
    return this.#table.generation;
  }

  /** Decodes a whole block. Throws ConnectionFault, after which the table is useless. */
  decode(source: Buffer, start: number, end: number): DecodedFields {
    this.#source = source;
    this.#at = start;
    this.#end = end;
    const fields: Field[] = [];
    let listBytes = 0;
    let isBegun = false;
    while (this.#at < end) {
      const first = source[this.#at] ?? 0;
      if ((first & 0xe0) === 0x20) {
        // RFC 7541 4.2: at the beginning only.
        if (isBegun) throw broken("A table size update stands behind a field");
        this.#resize(this.#integer(5));
        continue;
      }
      isBegun = true;
      const field = this.#field(first);
      listBytes += field.size;
      if (listBytes <= this.#options.listBytes) fields.push(field);
    }
    return { fields, isTooLarge: listBytes > this.#options.listBytes };
  }

  #field(first: number): Field {
    if (first & 0x80) return this.#lookUp(this.#integer(7));
    const isIndexed = (first & 0xc0) === 0x40;
    const index = this.#integer(isIndexed ? 6 : 4);
    const name = index === 0 ? this.#string() : this.#lookUp(index).name;
    const field = makeField(name, this.#string());
    if (isIndexed) this.#table.add(field);
    return field;
  }

  #lookUp(index: number): Field {
    const field =
      index <= STATIC_COUNT ? staticFields[index] : this.#table.at(index - STATIC_COUNT - 1);
    if (!field) throw broken(`There is no field ${index}`);
    return field;
  }

  #resize(bytes: number): void {
    if (bytes > this.#options.tableBytes) throw broken(`A table of ${bytes} bytes was not allowed`);
    this.#table.resize(bytes);
  }

  /** RFC 7541 5.1. */
  #integer(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = this.#byte() & mask;
    if (value < mask) return value;
    for (let shift = 0; shift < MAX_INTEGER_SHIFT; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw broken("An integer is too long");
  }

  #byte(): number {
    if (this.#at >= this.#end) throw broken("The block ends too early");
    const byte = this.#source[this.#at] ?? 0;
    this.#at += 1;
    return byte;
  }

  /** RFC 7541 5.2. */
  #string(): string {
    const isHuffman = ((this.#source[this.#at] ?? 0) & 0x80) !== 0;
    const bytes = this.#integer(7);
    const start = this.#at;
    const end = start + bytes;
    if (end > this.#end) throw broken("A string is longer than its block");
    this.#at = end;
    if (!isHuffman) return this.#source.toString("latin1", start, end);
    // The shortest code has five bits.
    const room = Math.ceil((bytes * 8) / 5) + 1;
    let scratch = this.#scratch;
    if (!scratch || scratch.length < room)
      this.#scratch = scratch = Buffer.allocUnsafeSlow(Math.max(room, 256));
    const length = decodeHuffman(this.#source, start, end, scratch);
    if (length === -1) throw broken("A Huffman string is malformed");
    return scratch.toString("latin1", 0, length);
  }
}

function broken(reason: string): ConnectionFault {
  return new ConnectionFault("COMPRESSION_ERROR", reason);
}
