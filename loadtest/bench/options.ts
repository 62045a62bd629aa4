// What benchmarks are told on the command line. A mistake is an Error in words.

/** The number that an option gives. */
export function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`--${name} wants a whole number of at least 1, not "${text}"`);
  return value;
}

/** The rows that `--rows a,b` names, all of them without it. */
export function chosenRows(text: string | undefined, keys: readonly string[]): readonly string[] {
  const wanted = text?.split(",") ?? keys;
  const unknown = wanted.filter((key) => !keys.includes(key));
  if (unknown.length > 0)
    throw new Error(`There is no row ${unknown.join(", ")}; there are ${keys.join(", ")}`);
  return wanted;
}
