// The header that a proxy puts before everything else on a connection: who its client is. HAProxy's PROXY protocol, versions
// 1 and 2, told apart by the first byte. Pure, incremental, bounded; strict, because what it says is believed.

import { isIP } from "node:net";
import { plainAddress } from "./networks.ts";

/** Who a proxy says its client is. */
export type Origin = { readonly remoteAddress: string; readonly remotePort: number };

export type ProxyHeader =
  | {
      readonly kind: "header";
      /** Undefined where the proxy speaks for itself (LOCAL) or does not know (UNKNOWN): the connection tells then. */
      readonly origin: Origin | undefined;
      /** What came behind the header. */
      readonly rest: Buffer;
    }
  | { readonly kind: "refused"; readonly why: string };

export type ProxyReader = {
  /** Feeds the next bytes; undefined until it is decided. Not to be called after that. */
  push(chunk: Buffer): ProxyHeader | undefined;
};

/** The specification's: the longest line has 107 bytes with its end. */
const MAX_LINE_BYTES = 107;
/** Addresses and what is said beside them (TLVs), such as the name in a client's certificate. */
const MAX_BODY_BYTES = 4 * 1024;

const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const FIXED_BYTES = SIGNATURE.length + 4;
const VERSION = 2;
const LOCAL = 0;
const PROXY = 1;
const TLV_HEADER_BYTES = 3;
const LINE_START = Buffer.from("PROXY ", "latin1");
const LF = 10;
const NO_PORT = 0;
const MAX_PORT = 65_535;

/** Reads the header of one connection, in whatever pieces it comes. */
export function createProxyReader(): ProxyReader {
  let seen: Buffer = Buffer.alloc(0);
  return {
    push(chunk) {
      // At most a few KiB are ever held: everything longer is refused below.
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      if (startsLike(seen, LINE_START)) return readLine(seen);
      if (startsLike(seen, SIGNATURE)) return readBinary(seen);
      return refused("It does not begin with a PROXY header");
    },
  };
}

/** Whether one is the beginning of the other. */
function startsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, length, 0, length) === 0;
}

function readLine(seen: Buffer): ProxyHeader | undefined {
  const end = seen.subarray(0, MAX_LINE_BYTES).indexOf(LF);
  if (end === -1)
    return seen.length >= MAX_LINE_BYTES ? refused("Its PROXY line is too long") : undefined;
  const line = seen.toString("latin1", 0, end + 1);
  const rest = seen.subarray(end + 1);
  if (/^PROXY UNKNOWN(?: [^\r\n]*)?\r\n$/.test(line))
    return { kind: "header", origin: undefined, rest };
  const [, family, source = "", target = "", sourcePort = "", targetPort = ""] =
    /^PROXY TCP([46]) ([\da-fA-F:.]+) ([\da-fA-F:.]+) (\d{1,5}) (\d{1,5})\r\n$/.exec(line) ?? [];
  const isValid =
    family !== undefined &&
    [source, target].every((address) => isIP(address) === Number(family)) &&
    [sourcePort, targetPort].every(isPort);
  if (!isValid) return refused("Its PROXY line is malformed");
  const origin = { remoteAddress: plainAddress(source), remotePort: Number(sourcePort) };
  return { kind: "header", origin, rest };
}

function isPort(digits: string): boolean {
  return /^(?:0|[1-9]\d*)$/.test(digits) && Number(digits) <= MAX_PORT;
}

function readBinary(seen: Buffer): ProxyHeader | undefined {
  if (seen.length < FIXED_BYTES) return undefined;
  const versionAndCommand = seen.readUInt8(SIGNATURE.length);
  const command = versionAndCommand & 0xf;
  if (versionAndCommand >> 4 !== VERSION || command > PROXY)
    return refused("Its PROXY header is of an unknown version or command");
  const bodyBytes = seen.readUInt16BE(FIXED_BYTES - 2);
  if (bodyBytes > MAX_BODY_BYTES) return refused("Its PROXY header is too long");
  if (seen.length < FIXED_BYTES + bodyBytes) return undefined;
  const body = seen.subarray(FIXED_BYTES, FIXED_BYTES + bodyBytes);
  const rest = seen.subarray(FIXED_BYTES + bodyBytes);
  // A proxy that checks whether we are there: what else it says is to be skipped.
  if (command === LOCAL) return { kind: "header", origin: undefined, rest };
  const layout = LAYOUTS.get(seen.readUInt8(SIGNATURE.length + 1));
  if (!layout) return refused("Its PROXY header is of an unknown family");
  const isWhole = body.length >= layout.bytes && areTlvs(body.subarray(layout.bytes));
  if (!isWhole) return refused("Its PROXY header is malformed");
  return { kind: "header", origin: layout.read(body), rest };
}

type Layout = {
  /** Of both addresses and ports. */
  readonly bytes: number;
  read(body: Buffer): Origin | undefined;
};

/** By family and transport: stream sockets, which is what this server accepts. */
const LAYOUTS: ReadonlyMap<number, Layout> = new Map<number, Layout>([
  [0x00, { bytes: 0, read: () => undefined }],
  [
    0x11,
    {
      bytes: 12,
      read: (body) => ({
        remoteAddress: body.subarray(0, 4).join("."),
        remotePort: body.readUInt16BE(8),
      }),
    },
  ],
  [
    0x21,
    {
      bytes: 36,
      read: (body) => ({
        remoteAddress: plainAddress(formatIpv6(body.subarray(0, 16))),
        remotePort: body.readUInt16BE(32),
      }),
    },
  ],
  [
    0x31,
    { bytes: 216, read: () => ({ remoteAddress: plainAddress(undefined), remotePort: NO_PORT }) },
  ],
]);

/** In the one text form there is for an address (RFC 5952), so that logs and rules see it as they see others. */
function formatIpv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2));
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) return `::ffff:${bytes.subarray(12).join(".")}`;
  const text = groups.map((group) => group.toString(16)).join(":");
  // The longest run of zeroes, the first of equal ones, but not a single one.
  const runs = [...text.matchAll(/(?<=^|:)0(?::0)+(?=$|:)/g)].map((run) => run[0]);
  const [longest] = runs.toSorted((one, other) => other.length - one.length);
  if (longest === undefined) return text;
  const at = new RegExp(`(?<=^|:)${longest}(?=$|:)`).exec(text)?.index ?? 0;
  const before = text.slice(0, at).replace(/:$/, "");
  const behind = text.slice(at + longest.length).replace(/^:/, "");
  return `${before}::${behind}`;
}

/** Types and lengths that fill what there is exactly; none of them is needed here. */
function areTlvs(bytes: Buffer): boolean {
  let at = 0;
  while (at + TLV_HEADER_BYTES <= bytes.length) at += TLV_HEADER_BYTES + bytes.readUInt16BE(at + 1);
  return at === bytes.length;
}

function refused(why: string): ProxyHeader {
  return { kind: "refused", why };
}
