// The keyboard's way through the rows of a chart.

/** Rows that a key moves; the history has about one row a second. */
const STEPS: ReadonlyMap<string, number> = new Map([
  ["ArrowLeft", -1],
  ["ArrowDown", -1],
  ["ArrowRight", 1],
  ["ArrowUp", 1],
  ["PageDown", -10],
  ["PageUp", 10],
  ["Home", -Infinity],
  ["End", Infinity],
]);

/** The row that `key` leads to from row `index` of `length`; undefined when it is no key of the cursor. */
export function rowAfterKey(key: string, index: number, length: number): number | undefined {
  const steps = STEPS.get(key);
  if (steps === undefined || length === 0) return undefined;
  return Math.min(length - 1, Math.max(0, index + steps));
}
