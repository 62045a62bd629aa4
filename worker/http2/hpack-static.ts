// The static table of HPACK (RFC 7541 Appendix A).

import { makeField, type Field } from "./field.ts";

const ENTRIES: readonly (readonly [name: string, value?: string])[] = [
  [":authority"],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset"],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language"],
  ["accept-ranges"],
  ["accept"],
  ["access-control-allow-origin"],
  ["age"],
  ["allow"],
  ["authorization"],
  ["cache-control"],
  ["content-disposition"],
  ["content-encoding"],
  ["content-language"],
  ["content-length"],
  ["content-location"],
  ["content-range"],
  ["content-type"],
  ["cookie"],
  ["date"],
  ["etag"],
  ["expect"],
  ["expires"],
  ["from"],
  ["host"],
  ["if-match"],
  ["if-modified-since"],
  ["if-none-match"],
  ["if-range"],
  ["if-unmodified-since"],
  ["last-modified"],
  ["link"],
  ["location"],
  ["max-forwards"],
  ["proxy-authenticate"],
  ["proxy-authorization"],
  ["range"],
  ["referer"],
  ["refresh"],
  ["retry-after"],
  ["server"],
  ["set-cookie"],
  ["strict-transport-security"],
  ["transfer-encoding"],
  ["user-agent"],
  ["vary"],
  ["via"],
  ["www-authenticate"],
];

export const STATIC_COUNT = ENTRIES.length;

/** By index; the first is 1. */
export const staticFields: readonly (Field | undefined)[] = [
  undefined,
  ...ENTRIES.map(([name, value = ""]) => makeField(name, value)),
];

/** The first index of each name. */
export const staticNames: ReadonlyMap<string, number> = new Map(
  ENTRIES.map(([name], at) => [name, at + 1] as const).toReversed(),
);

/** The index of each ":status" that has one. */
export const staticStatuses: ReadonlyMap<number, number> = new Map(
  ENTRIES.flatMap(([name, value], at) =>
    name === ":status" ? [[Number(value), at + 1] as const] : [],
  ),
);
