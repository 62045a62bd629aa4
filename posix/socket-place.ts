// Addresses as the kernel writes them: struct sockaddr of ip(7) and ipv6(7).

import type { openLibc } from "./native.mjs";

export const LONGEST_SOCKADDR = 128;
const AF_INET = 2;
const AF_INET6 = 10;

/** Where a socket is or comes from; undefined for one that has no address, as a unix socket's client. */
export type SocketPlace = { readonly address: string; readonly port: number } | undefined;

/** Most connections are over before anybody wants to know. */
class Ipv4Place {
  readonly #bits: number;
  readonly port: number;

  constructor(bits: number, port: number) {
    this.#bits = bits;
    this.port = port;
  }

  get address(): string {
    const bits = this.#bits;
    return `${bits >>> 24}.${(bits >>> 16) & 0xff}.${(bits >>> 8) & 0xff}.${bits & 0xff}`;
  }
}

type Native = NonNullable<Awaited<ReturnType<typeof openLibc>>>;

export function createPlaceDecoder(libc: Native["libc"]): (sockaddr: Buffer) => SocketPlace {
  const ifName = libc.func("char* if_indextoname(uint32_t index, void* name)");
  return (from) => {
    const family = from.readUInt16LE(0);
    const port = from.readUInt16BE(2);
    if (family === AF_INET) return new Ipv4Place(from.readUInt32BE(4), port);
    if (family !== AF_INET6) return undefined;
    const text = ipv6Text(from.subarray(8, 24));
    const scope = from.readUInt32LE(24);
    // As Node shows them.
    if (scope === 0 || !text.startsWith("fe80")) return { address: text, port };
    return { address: `${text}%${ifName(scope, Buffer.alloc(16)) ?? scope}`, port };
  };
}

/** RFC 5952. */
function ipv6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2));
  let bestAt = -1;
  let bestLength = 1;
  for (let at = 0; at < groups.length; at += 1) {
    let end = at;
    while (groups[end] === 0) end += 1;
    if (end - at > bestLength) [bestAt, bestLength] = [at, end - at];
    at = Math.max(at, end - 1);
  }
  const isMapped = bestAt === 0 && bestLength === 5 && groups[5] === 0xffff;
  if (isMapped) return `::ffff:${bytes[12]}.${bytes[13]}.${bytes[14]}.${bytes[15]}`;
  const text = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(":");
  if (bestAt === -1) return text(0, 8);
  return `${text(0, bestAt)}::${text(bestAt + bestLength, 8)}`;
}
