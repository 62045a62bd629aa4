// The authority of a request: host and port out of a Host field or an absolute target (RFC 9110 7.2, RFC 3986 3.2).
// Stricter than the grammar: no userinfo, no percent-encoding, no sub-delims. A name that no vhost can have is refused, not guessed at.

import { isIPv6, SocketAddress } from "node:net";
import { domainToASCII } from "node:url";

export type Authority = {
  /** As sent, with the port. */
  readonly text: string;
  /** Lower case, no port, no dot at the end; IPv6 in brackets and in its canonical form. */
  readonly host: string;
};

/** RFC 1035 3.1: no name is longer. Bounds the work on each of them. */
const MAX_NAME_BYTES = 255;
const MAX_PORT = 65_535;

/** Labels of letters, digits, "-" and "_", perhaps a dot at the end, perhaps a port (RFC 3986 allows an empty one). */
const NAME_AND_PORT = /^([\w~-]+(?:\.[\w~-]+)*)\.?(?::(\d{0,5}))?$/;
const LITERAL_AND_PORT = /^\[([\d.:A-Fa-f]+)\](?::(\d{0,5}))?$/;

/** Takes an authority apart, or undefined where it is none. */
export function parseAuthority(text: string): Authority | undefined {
  if (text.length > MAX_NAME_BYTES + 6) return undefined;
  const literal = text.startsWith("[");
  const [, name, port] = (literal ? LITERAL_AND_PORT : NAME_AND_PORT).exec(text) ?? [];
  if (name === undefined || name.length > MAX_NAME_BYTES) return undefined;
  if (port !== undefined && Number(port) > MAX_PORT) return undefined;
  if (!literal) return { text, host: name.toLowerCase() };
  const address = canonicalIPv6(name);
  return address === undefined ? undefined : { text, host: `[${address}]` };
}

/** The name of a vhost in the form that parseAuthority gives to hosts: "Bücher.example." and "::1" become comparable. */
export function normalizeName(name: string): string {
  const address = canonicalIPv6(name);
  if (address !== undefined) return `[${address}]`;
  const parsed = parseAuthority(domainToASCII(name) || name);
  return parsed?.host ?? name.toLowerCase();
}

function canonicalIPv6(text: string): string | undefined {
  // A zone ("fe80::1%eth0") means something on this machine only.
  if (!isIPv6(text) || text.includes("%")) return undefined;
  return new SocketAddress({ address: text, family: "ipv6" }).address;
}
