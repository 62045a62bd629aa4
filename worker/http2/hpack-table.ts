// The dynamic table of an HPACK decoder (RFC 7541 2.3.2, 4): the newest field has the lowest index, the oldest goes first.

import type { Field } from "./field.ts";

/** So many forgotten places may lie before the first field; then the rest moves down. */
const SLACK = 64;

export class DynamicTable {
  /** Oldest first, from #first on. */
  readonly #fields: (Field | undefined)[] = [];
  #first = 0;
  #bytes = 0;
  #maxBytes: number;
  #generation = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get count(): number {
    return this.#fields.length - this.#first;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Another number whenever an index may mean another field. */
  get generation(): number {
    return this.#generation;
  }

  /** The newest is 0; undefined where there is none. */
  at(position: number): Field | undefined {
    return position < this.count ? this.#fields[this.#fields.length - 1 - position] : undefined;
  }

  /** A field larger than the table empties it and is not kept (RFC 7541 4.4). */
  add(field: Field): void {
    this.#generation += 1;
    this.#evict(this.#maxBytes - field.size);
    if (field.size > this.#maxBytes) return;
    this.#fields.push(field);
    this.#bytes += field.size;
  }

  resize(maxBytes: number): void {
    this.#generation += 1;
    this.#maxBytes = maxBytes;
    this.#evict(maxBytes);
  }

  #evict(allowedBytes: number): void {
    while (this.#bytes > allowedBytes && this.count > 0) {
      this.#bytes -= this.#fields[this.#first]?.size ?? 0;
      this.#fields[this.#first] = undefined;
      this.#first += 1;
    }
    if (this.#first > SLACK && this.#first > this.count) {
      this.#fields.splice(0, this.#first);
      this.#first = 0;
    }
  }
}
