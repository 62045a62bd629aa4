// The request target: what the client wrote between method and version, as path and query (RFC 9112 3.2).
// Works on bytes and decodes once. `new URL()` would take "//evil/x" for a host, drop tabs and resolve "%2e%2e".

import type { ByteString } from "./exchange.ts";

export type Target = {
  /** Path and query as sent, in origin form. */
  readonly target: ByteString;
  /** Decoded; absolute; no dot segments, no empty segments but perhaps the last. */
  readonly path: ByteString;
  readonly query: ByteString | undefined;
  /** Authority of an absolute target; it goes before the Host field. */
  readonly authority: string | undefined;
};

/** Controls and space would split a log line or a header; "#" never belongs to a target (RFC 9110 4.2.5). */
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const FORBIDDEN = /[\u0000-\u0020#\u007f]/;
const ABSOLUTE = /^https?:\/\/([^/?]+)/i;
const HEX_PAIR = /^[\dA-Fa-f]{2}$/;
const NUL = 0;
const LF = 10;
const CR = 13;

/** Takes a target apart; undefined where it must be refused with 400. Not for "*" and CONNECT. */
export function parseTarget(text: ByteString): Target | undefined {
  if (FORBIDDEN.test(text)) return undefined;
  if (text.startsWith("/")) return parseOriginForm(text, undefined);
  const [prefix, authority] = ABSOLUTE.exec(text) ?? [];
  if (prefix === undefined) return undefined;
  const rest = text.slice(prefix.length);
  return parseOriginForm(rest.startsWith("/") ? rest : `/${rest}`, authority);
}

function parseOriginForm(target: ByteString, authority: string | undefined): Target | undefined {
  const mark = target.indexOf("?");
  const path = decodePath(mark === -1 ? target : target.slice(0, mark));
  if (path === undefined) return undefined;
  return { target, path, query: mark === -1 ? undefined : target.slice(mark + 1), authority };
}

/** Decodes escapes once, then removes dot segments and repeated slashes; undefined for a bad escape or a climb above "/". */
export function decodePath(path: ByteString): ByteString | undefined {
  const decoded = path.includes("%") ? decodeEscapes(path) : path;
  if (decoded === undefined) return undefined;
  return decoded.includes("/.") || decoded.includes("//") ? removeDots(decoded) : decoded;
}

/** A path as it stands in a Location header or a link: every byte that could be misread there is escaped. */
export function encodePath(path: ByteString): string {
  return path.replace(/[^\w!$&'()*+,./:;=@~-]/g, (byte) => {
    const hex = byte.charCodeAt(0).toString(16).toUpperCase();
    return `%${hex.padStart(2, "0")}`;
  });
}

function decodeEscapes(path: ByteString): ByteString | undefined {
  let decoded = "";
  let from = 0;
  for (let at = path.indexOf("%"); at !== -1; at = path.indexOf("%", from)) {
    const digits = path.slice(at + 1, at + 3);
    if (!HEX_PAIR.test(digits)) return undefined;
    const byte = Number.parseInt(digits, 16);
    if (byte === NUL || byte === LF || byte === CR) return undefined;
    decoded += path.slice(from, at) + String.fromCharCode(byte);
    from = at + 3;
  }
  return decoded + path.slice(from);
}

function removeDots(path: ByteString): ByteString | undefined {
  const segments = path.split("/");
  const last = segments.at(-1) ?? "";
  const kept: string[] = [];
  for (const segment of segments) {
    if (segment === "" || segment === ".") continue;
    if (segment !== "..") kept.push(segment);
    // Browsers would stop at the root; a client that climbs above it is after something else.
    else if (kept.pop() === undefined) return undefined;
  }
  const isDirectory = kept.length > 0 && (last === "" || last === "." || last === "..");
  return `/${kept.join("/")}${isDirectory ? "/" : ""}`;
}
