// What a client accepts (RFC 9110 12.5): content codings, and one media type out of several. Pure. The only importer of negotiator.

import Negotiator from "negotiator";
import { CODINGS, type Coding } from "./representation.ts";

export type AcceptedCodings = {
  /** Those that the client likes no less than the bare content, its favourite first; among equals ours. */
  readonly codings: readonly Coding[];
  /** False where it refuses the bare content. It is sent all the same if there is nothing else: such a client is better off with something (RFC 9110 12.4.1). */
  readonly identity: boolean;
};

const IDENTITY = "identity";
const SERVED: readonly string[] = [...CODINGS, IDENTITY];
const NOTHING_ASKED: AcceptedCodings = { codings: [], identity: true };

/** Missing in @types/negotiator. */
type WithPreference = {
  encodings(available: readonly string[], options: { preferred: readonly string[] }): string[];
};

/** Reads Accept-Encoding. Without it, or with an empty one, the bare content is what nobody can misunderstand. */
export function acceptedCodings(field: string | undefined): AcceptedCodings {
  if (field === undefined || field === "") return NOTHING_ASKED;
  // An old name of the same coding (RFC 9110 8.4.1.3).
  const headers = { "accept-encoding": field.replace(/\bx-gzip\b/gi, "gzip") };
  const negotiator = new Negotiator({ headers }) as unknown as WithPreference;
  const accepted = negotiator.encodings(SERVED, { preferred: SERVED });
  const end = accepted.indexOf(IDENTITY);
  const liked = end === -1 ? accepted : accepted.slice(0, end);
  return { codings: liked.filter(isCoding), identity: end !== -1 };
}

/** Which of our media types the client likes best, the first of equals; undefined when it accepts none. */
export function preferredType(
  accept: string | undefined,
  types: readonly string[],
): string | undefined {
  return new Negotiator({ headers: { accept } }).mediaType(types);
}

function isCoding(name: string): name is Coding {
  return CODINGS.some((coding) => coding === name);
}
