// Blocks of fields whose request was answered from memory, by their bytes. As long as the table of the decoder is what it was, the same
// few bytes are the same request: nothing of it is decoded or checked again.

import type { ReadyRequests } from "./ready.ts";

/** Of a block; a client that repeats itself has its fields in the table, and sends a byte for each. */
const MAX_BYTES = 128;
/** So many different ones of a connection. */
const PLACES = 8;

type Known = { readonly bytes: Uint8Array; readonly requests: ReadyRequests };

export class KnownBlocks {
  /** Made when there is something to know. */
  #known: Known[] | undefined;
  #next = 0;
  /** Of the table, when they were decoded. */
  #generation = 0;

  /** Undefined for a block that is not known with this generation of the table. */
  find(source: Buffer, start: number, end: number, generation: number): ReadyRequests | undefined {
    const known = this.#known;
    if (!known || generation !== this.#generation) return undefined;
    for (const one of known) if (isSame(one.bytes, source, start, end)) return one.requests;
    return undefined;
  }

  /** Keeps a block that has left the table as it was. */
  keep(
    source: Buffer,
    start: number,
    end: number,
    generation: number,
    requests: ReadyRequests,
  ): void {
    if (end - start > MAX_BYTES) return;
    if (generation !== this.#generation) this.forget();
    this.#generation = generation;
    const known = (this.#known ??= []);
    // The oldest goes.
    known[this.#next % PLACES] = { bytes: new Uint8Array(source.subarray(start, end)), requests };
    this.#next = (this.#next + 1) % PLACES;
  }

  forget(): void {
    this.#known = undefined;
    this.#next = 0;
  }
}

/** By hand: for so few bytes a call into the runtime costs more. */
function isSame(bytes: Uint8Array, source: Buffer, start: number, end: number): boolean {
  const { length } = bytes;
  if (length !== end - start) return false;
  for (let at = 0; at < length; at += 1) if (bytes[at] !== source[start + at]) return false;
  return true;
}
