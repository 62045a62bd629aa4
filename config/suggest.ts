// "Did you mean": the nearest known word. The only importer of fastest-levenshtein.

import { closest, distance } from "fastest-levenshtein";

/** Words longer than any key are not compared: the cost grows with the product of the lengths. */
const MAX_WORD = 64;

/** `; did you mean "origin"?`, or nothing when no known word is near. */
export function suggest(word: string, known: readonly string[]): string {
  const near = nearestWord(word, known);
  return near === undefined ? "" : `; did you mean "${near}"?`;
}

/** The known word that was probably meant. */
export function nearestWord(word: string, known: readonly string[]): string | undefined {
  if (known.length === 0 || word.length > MAX_WORD) return undefined;
  const plain = word.toLowerCase();
  const folded = known.map((one) => one.toLowerCase());
  const best = closest(plain, folded);
  // Two swapped letters are two edits; in a very short word that would be any other word.
  const shorter = Math.min(plain.length, best.length);
  const allowed = shorter < 4 ? 1 : Math.max(2, Math.floor(shorter / 3));
  return distance(plain, best) <= allowed ? known[folded.indexOf(best)] : undefined;
}
