// Names of vhosts -> what answers for them: an exact name first, then "*.example.com" for one label in its place, as in
// certificates (RFC 9525 6.3). Names and hosts are compared in the form that normalizeName gives.

import { normalizeName } from "./http/host.ts";

const WILDCARD = "*.";

/** Finds by normalized host; undefined for a name that nobody has. */
export type NameTable<T> = (host: string) => T | undefined;

/** Of two equal names the first one counts. */
export function createNameTable<T>(
  entries: Iterable<readonly [name: string, value: T]>,
): NameTable<T> {
  const exact = new Map<string, T>();
  /** By what follows the first label, with its dot. */
  const wildcards = new Map<string, T>();
  for (const [name, value] of entries) {
    const isWildcard = name.startsWith(WILDCARD);
    const key = normalizeName(isWildcard ? name.slice(WILDCARD.length) : name);
    const table = isWildcard ? wildcards : exact;
    if (!table.has(key)) table.set(key, value);
  }
  return (host) => {
    const found = exact.get(host);
    if (found !== undefined || wildcards.size === 0) return found;
    const dot = host.indexOf(".");
    return dot > 0 ? wildcards.get(host.slice(dot + 1)) : undefined;
  };
}
