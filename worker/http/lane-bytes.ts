// What the readers of a request head in the lane share: which bytes may stand where, and what they answer instead of a place.

/** Instead of a place in the buffer: the bytes are right as far as they have come, or they are not for the lane. */
export const PARTIAL = 0;
export const STRANGE = -1;

export const HTAB = 9;
export const LF = 10;
export const CR = 13;
export const SPACE = 32;
/** Set in lower-case letters and in "-"; setting it turns nothing but upper-case letters and CR into one of these. */
const CASE_BIT = 0x20;

/** A table of 256 that holds 1 for the bytes that are meant. */
export function tableOf(holds: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (holds(byte) ? 1 : 0));
}

/** Compares with a word of lower-case letters and "-", without regard to case. There is no CR among the bytes. */
export function isWord(bytes: Buffer, start: number, end: number, word: Buffer): boolean {
  if (end - start !== word.length) return false;
  for (let index = 0; index < word.length; index += 1)
    if (((bytes[start + index] ?? 0) | CASE_BIT) !== word[index]) return false;
  return true;
}
