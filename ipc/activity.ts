// What a worker is in the middle of, in a file in memory that it shares with the supervisor: a number, and what the numbers
// mean. So the supervisor can name the plugin that holds up a worker which answers nothing any more.

/** Size of the file. */
export const ACTIVITY_BYTES = 16 * 1024;
/** Words before the names; the first one is the number, 0 for nothing of note. */
export const ACTIVITY_WORDS = 16;

const NAMES_AT = ACTIVITY_WORDS * Int32Array.BYTES_PER_ELEMENT;
const MAX_SHOWN = 200;

/** The names as they stand in the file behind the words; the first one is number 1. Those that do not fit are left out. */
export function encodeNames(names: readonly string[]): {
  readonly at: number;
  readonly text: Buffer;
} {
  let kept = names;
  let text = Buffer.from(JSON.stringify(kept));
  while (text.length > ACTIVITY_BYTES - NAMES_AT - 1) {
    kept = kept.slice(0, Math.floor(kept.length / 2));
    text = Buffer.from(JSON.stringify(kept));
  }
  return { at: NAMES_AT, text };
}

/** The name of what the worker is in, if it is in anything and its file can be believed: it was written by a process that faces the network. */
export function readActivity(file: Buffer): string | undefined {
  if (file.length < NAMES_AT) return undefined;
  const end = file.indexOf(0, NAMES_AT);
  try {
    const names: unknown = JSON.parse(file.toString("utf8", NAMES_AT, end < 0 ? undefined : end));
    const name: unknown = Array.isArray(names) ? names[file.readInt32LE(0) - 1] : undefined;
    return typeof name === "string" ? name.slice(0, MAX_SHOWN) : undefined;
  } catch {
    return undefined;
  }
}
