// One field of a request as HPACK brings it. What it means to us and whether it may exist at all (RFC 9113 8.2, 8.3) is found
// out once, when it is decoded from a literal; a reference to a table costs nothing more.

import type { ByteString } from "../http/exchange.ts";

/** What has to be known of a field at each request. The pseudo-fields come first. */
export type FieldKind =
  | ":method"
  | ":scheme"
  | ":path"
  | ":authority"
  | ":protocol"
  | "host"
  | "content-length"
  | "expect"
  | "priority"
  | "malformed"
  | "other";

export type Field = {
  readonly name: ByteString;
  readonly value: ByteString;
  readonly kind: FieldKind;
  /** Bytes in a table (RFC 7541 4.1). */
  readonly size: number;
};

/** What each field costs in a table and in a list beside its text. */
export const FIELD_OVERHEAD = 32;

const KNOWN: ReadonlyMap<string, FieldKind> = new Map(
  (
    [
      ":method",
      ":scheme",
      ":path",
      ":authority",
      ":protocol",
      "host",
      "content-length",
      "expect",
      "priority",
    ] as const
  ).map((name) => [name, name]),
);

/** They belong to one connection of HTTP/1 (RFC 9113 8.2.2); a request that brings them was meant to fool somebody behind. */
const FORBIDDEN: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

/** A token in lower case (RFC 9110 5.6.2, RFC 9113 8.2.1). */
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** As for HTTP/1.1: no controls but tabs, no white space at either end. */
const VALUE = /^(?:[!-~\u0080-\u00ff](?:[\t -~\u0080-\u00ff]*[!-~\u0080-\u00ff])?)?$/;

/** Makes a field of what was decoded. */
export function makeField(name: ByteString, value: ByteString): Field {
  return {
    name,
    value,
    kind: classify(name, value),
    size: name.length + value.length + FIELD_OVERHEAD,
  };
}

function classify(name: ByteString, value: ByteString): FieldKind {
  if (!VALUE.test(value)) return "malformed";
  const known = KNOWN.get(name);
  if (known !== undefined) return known;
  if (!NAME.test(name) || FORBIDDEN.has(name)) return "malformed";
  // RFC 9113 8.2.2: the one thing TE can still say.
  if (name === "te" && value.toLowerCase() !== "trailers") return "malformed";
  return "other";
}
