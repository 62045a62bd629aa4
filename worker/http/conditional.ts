// Conditional requests (RFC 9110 13): whether the client's copy will do, and whether the part it asks for belongs to that copy. Pure.

import { parseHttpDate } from "./http-date.ts";

/** What is known of the representation the client asks for. */
export type Validators = {
  /** Quoted and strong, as in the ETag field. */
  readonly etag: string;
  /** Seconds since the epoch. */
  readonly lastModified: number;
};

export type Verdict = "send" | "not-modified" | "failed";

/** Decides in the order of RFC 9110 13.2.2, for GET and HEAD. `header` finds a field of the request by lower-case name. */
export function evaluateConditions(
  header: (name: string) => string | undefined,
  current: Validators,
): Verdict {
  const match = header("if-match");
  const unmodified = header("if-unmodified-since");
  if (match !== undefined) {
    if (!lists(match, current.etag, "strong")) return "failed";
  } else if (unmodified !== undefined) {
    const since = parseHttpDate(unmodified);
    if (since !== undefined && current.lastModified > since) return "failed";
  }
  const noneMatch = header("if-none-match");
  if (noneMatch !== undefined)
    return lists(noneMatch, current.etag, "weak") ? "not-modified" : "send";
  const modified = header("if-modified-since");
  const since = modified === undefined ? undefined : parseHttpDate(modified);
  return since !== undefined && current.lastModified <= since ? "not-modified" : "send";
}

/**
 * If-Range (RFC 9110 13.1.5): whether a range is of the version that the client has. A date is only exact enough when the
 * second it names is over, so that nothing can have changed twice in it (8.8.2.2).
 */
export function rangeStillHolds(
  ifRange: string | undefined,
  current: Validators,
  now = Date.now(),
): boolean {
  if (ifRange === undefined || ifRange === current.etag) return true;
  const date = parseHttpDate(ifRange);
  return date === current.lastModified && date < Math.floor(now / 1000);
}

/** Whether a list of entity tags, or "*", covers this one. What follows a syntax error is not looked at. */
function lists(field: string, etag: string, comparison: "strong" | "weak"): boolean {
  if (field.trim() === "*") return true;
  // An entity tag and what separates it from the next one (RFC 9110 8.8.3).
  const element = /[\t ]*(?:(W\/)?("[!\u0023-\u007e\u0080-\u00ff]*")[\t ]*)?(?:,|$)/y;
  while (element.lastIndex < field.length) {
    const found = element.exec(field);
    if (!found) return false;
    const [, weak, tag] = found;
    if (tag === etag && (comparison === "weak" || weak === undefined)) return true;
  }
  return false;
}
