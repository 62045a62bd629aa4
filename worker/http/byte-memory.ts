// Parts of requests that came more than once lately, by their bytes: what was made of them is made once. Clients say nearly the same
// in every request, and many ask for the same. Nothing that is for one client alone belongs here: who guesses it could see it known.

/** Something known by its bytes. */
export type Known = {
  /** A copy. */
  readonly bytes: Buffer;
};

/** Above this a call into the runtime compares faster than a loop. */
const LOOP_BYTES = 128;

export class ByteMemory<K extends Known> {
  readonly #places: (K | undefined)[];
  readonly #mask: number;
  /** Key of what was last not known at each place. */
  readonly #missed: Int32Array;

  /** `places` is a power of two; what comes to a place that is taken goes in the place of the other. */
  constructor(places: number) {
    this.#places = Array.from({ length: places }, () => undefined);
    this.#mask = places - 1;
    this.#missed = new Int32Array(places);
  }

  /** What is known of these bytes; `key` is any number that comes of them. */
  find(key: number, bytes: Buffer, start: number, end: number): K | undefined {
    const known = this.#places[key & this.#mask];
    return known && known.bytes.length === end - start && startsWith(bytes, start, known.bytes)
      ? known
      : undefined;
  }

  /** Whether something that was not found is worth keeping: it comes for the second time in a row at its place. */
  isRepeated(key: number): boolean {
    const place = key & this.#mask;
    if (this.#missed[place] === key) return true;
    this.#missed[place] = key;
    return false;
  }

  keep(key: number, known: K): void {
    this.#places[key & this.#mask] = known;
  }
}

/** Whether the bytes from `start` on begin with these. */
export function startsWith(bytes: Buffer, start: number, beginning: Buffer): boolean {
  const { length } = beginning;
  if (start + length > bytes.length) return false;
  if (length > LOOP_BYTES) return beginning.compare(bytes, start, start + length) === 0;
  for (let at = 0; at < length; at += 1) if (bytes[start + at] !== beginning[at]) return false;
  return true;
}
