// Bytes that the cases of h2spec have in common, and what they wait for.

import {
  block,
  frame,
  GET_FIELDS,
  headers,
  number32,
  POST_FIELDS,
  settings,
} from "../../../helpers/http2-wire.ts";
import { encodeInteger } from "../../../../worker/http2/hpack-encoder.ts";
import { encodeHuffman, huffmanBytes } from "../../../../worker/http2/huffman.ts";
import type { Wait } from "../rules.ts";

/** Error codes as GOAWAY and RST_STREAM show them. */
export const PROTOCOL_ERROR = 1;
export const FLOW_CONTROL_ERROR = 3;
export const STREAM_CLOSED = 5;
export const FRAME_SIZE_ERROR = 6;
export const REFUSED_STREAM = 7;
export const COMPRESSION_ERROR = 9;

const CANCEL = 8;

/** A request on stream 1. */
export const GET = headers(1);
/** One whose body is still to come. */
export const POST = headers(1, POST_FIELDS, false);
export const GET_BLOCK = block(GET_FIELDS);
/** A field of 4,000 bytes. */
export const FILLER = block([["x-filler", "x".repeat(4_000)]]);

export const CANCEL_1 = frame(0x3, 0, 1, number32(CANCEL));
/** Depends on nothing, heaviest weight. */
export const PRIORITY_1 = priority(1, 0, 255);
export const PING = ping("h2");

export function priority(stream: number, dependsOn: number, weight: number): Buffer {
  return frame(0x2, 0, stream, Buffer.concat([number32(dependsOn), Buffer.of(weight)]));
}

export function ping(text: string, flags = 0): Buffer {
  return frame(0x6, flags, 0, Buffer.from(text.padEnd(8, "\0"), "latin1"));
}

export function windowUpdate(stream: number, increment: number): Buffer {
  return frame(0x8, 0, stream, number32(increment));
}

export function initialWindow(bytes: number): Buffer {
  return settings([0x4, bytes]);
}

/** HEADERS whose block goes on; the request has no body. */
export function openHeaders(fragment: Uint8Array = GET_BLOCK): Buffer {
  return frame(0x1, 0x1, 1, fragment);
}

export function continuation(stream: number, fragment: Uint8Array, ends: boolean): Buffer {
  return frame(0x9, ends ? 0x4 : 0, stream, fragment);
}

/** GET with more in its block, behind the fields or before them. */
export function getWith(
  behind: readonly number[] | Uint8Array,
  before: readonly number[] = [],
): Buffer {
  return frame(0x1, 0x5, 1, Buffer.concat([Buffer.from(before), GET_BLOCK, Buffer.from(behind)]));
}

/** RFC 7541 6.2: `first` is its pattern, of whose byte the index has `prefixBits`. */
export function literal(
  [first, prefixBits]: readonly [number, number],
  name: string | number,
  value: string,
  isHuffman: boolean,
): Buffer {
  const index = encodeInteger(first, prefixBits, typeof name === "number" ? name : 0);
  const named = typeof name === "string" ? [string(name, isHuffman)] : [];
  return Buffer.concat([index, ...named, string(value, isHuffman)]);
}

function string(text: string, isHuffman: boolean): Buffer {
  if (!isHuffman) return Buffer.concat([encodeInteger(0, 7, text.length), Buffer.from(text)]);
  const packed = pack(text);
  return Buffer.concat([encodeInteger(0x80, 7, packed.length), packed]);
}

export function pack(text: string): Buffer {
  const packed = Buffer.alloc(huffmanBytes(text));
  encodeHuffman(text, packed, 0);
  return packed;
}

/** The answer on stream 1 is complete. */
export const answered: Wait = ({ type, flags, stream }) =>
  (type === 0x0 || type === 0x1) && stream === 1 && (flags & 0x1) !== 0;

export const acknowledged: Wait = ({ type, flags }) => type === 0x4 && flags === 1;

export const hasData: Wait = ({ type }) => type === 0x0;
