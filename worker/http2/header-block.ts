// A block of fields and the frames it comes in: HEADERS, then CONTINUATION until END_HEADERS, with nothing between (RFC 9113 6.10).

import { ConnectionFault, flag, Flood } from "./frame.ts";
import type { Http2Limits } from "./limits.ts";

/** Octets of the fields that only HEADERS with PRIORITY and PRIORITY frames have. */
export const PRIORITY_BYTES = 5;

/** A block that has begun. */
export type OpenBlock = {
  readonly stream: number;
  readonly endsStream: boolean;
  readonly pieces: Buffer[];
  bytes: number;
  frames: number;
  /** performance.now(); the whole of it must come in time. */
  readonly since: number;
};

/** The payload of a HEADERS or DATA frame without its padding. */
export type Payload = { readonly start: number; readonly end: number };

/** Takes padding off (RFC 9113 6.1). */
export function unpad(flags: number, source: Buffer, start: number, end: number): Payload {
  if (!(flags & flag.padded)) return { start, end };
  if (start === end) throw new ConnectionFault("FRAME_SIZE_ERROR", "A padded frame is empty");
  const padding = source[start] ?? 0;
  if (padding >= end - start)
    throw new ConnectionFault("PROTOCOL_ERROR", "The padding is longer than its frame");
  return { start: start + 1, end: end - padding };
}

/** What a HEADERS frame has of its block: without padding and priority (RFC 9113 6.2). */
export function fragmentOf(
  flags: number,
  id: number,
  source: Buffer,
  start: number,
  end: number,
): Payload {
  const payload = unpad(flags, source, start, end);
  if (!(flags & flag.priority)) return payload;
  if (payload.end - payload.start < PRIORITY_BYTES)
    throw new ConnectionFault("FRAME_SIZE_ERROR", "HEADERS are too short for their priority");
  checkDependency(id, source, payload.start);
  return { start: payload.start + PRIORITY_BYTES, end: payload.end };
}

/** RFC 7540 5.3.1: no stream depends on itself; who says so is broken. */
export function checkDependency(id: number, source: Buffer, at: number): void {
  if ((source.readUInt32BE(at) & 0x7fff_ffff) === id)
    throw new ConnectionFault("PROTOCOL_ERROR", `Stream ${id} depends on itself`);
}

/** Adds a piece to a block, within limits. */
export function extendBlock(
  block: OpenBlock,
  limits: Http2Limits,
  source: Buffer,
  start: number,
  end: number,
): void {
  block.frames += 1;
  block.bytes += end - start;
  if (block.bytes > limits.headerBlockBytes)
    throw new Flood("fields", "A block of fields is too large");
  if (block.frames > limits.continuations)
    throw new Flood("fields", "A block of fields has too many frames");
  // A copy: the frame's bytes are the next one's in a moment.
  block.pieces.push(Buffer.from(source.subarray(start, end)));
}
