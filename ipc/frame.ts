// Frames on the pipe: a 4-byte big-endian length, then msgpack. Self-contained, bounded, decoded incrementally.
// The only importer of msgpackr.

import { Packr } from "msgpackr";

const HEADER_BYTES = 4;

// Records would tie both ends to one stream's history; plain maps survive a changed program on either side.
const packr = new Packr({ useRecords: false, mapsAsObjects: true, variableMapSize: true });

/** A frame that breaks the rules; the connection it came on cannot be trusted further. */
export class FrameError extends Error {
  readonly code = "FRAME";
}

/** Encodes one value as a frame. Throws FrameError above `maxBytes`. */
export function encodeFrame(value: unknown, maxBytes: number): Buffer {
  const body = packr.pack(value);
  if (body.length > maxBytes)
    throw new FrameError(`Frame of ${body.length} bytes exceeds ${maxBytes}`);
  const frame = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  frame.writeUInt32BE(body.length, 0);
  frame.set(body, HEADER_BYTES);
  return frame;
}

/** Feeds on chunks, hands out decoded values in order. */
export type FrameReader = {
  /** Throws FrameError on an oversized or undecodable frame. */
  push(chunk: Buffer): void;
  /** True in the middle of a frame. */
  readonly pending: boolean;
};

/** `onValue` is called once for each whole frame. Values own their bytes: none is a view of a read buffer. */
export function createFrameReader(
  maxBytes: number,
  onValue: (value: unknown) => void,
): FrameReader {
  let chunks: Buffer[] = [];
  let held = 0;
  let wanted = HEADER_BYTES;

  return {
    get pending() {
      return held > 0;
    },
    push(chunk) {
      chunks.push(chunk);
      held += chunk.length;
      // Joining only when enough is there keeps a frame in a thousand pieces linear.
      if (held < wanted) return;
      let buffer = chunks.length === 1 ? chunk : Buffer.concat(chunks, held);
      for (;;) {
        if (buffer.length < HEADER_BYTES) {
          wanted = HEADER_BYTES;
          break;
        }
        const length = buffer.readUInt32BE(0);
        if (length > maxBytes) throw new FrameError(`Frame of ${length} bytes exceeds ${maxBytes}`);
        wanted = HEADER_BYTES + length;
        if (buffer.length < wanted) break;
        // A copy, because msgpackr hands out binary members as views of its input.
        const body = Buffer.from(buffer.subarray(HEADER_BYTES, wanted));
        buffer = buffer.subarray(wanted);
        onValue(decode(body));
      }
      chunks = buffer.length === 0 ? [] : [buffer];
      held = buffer.length;
    },
  };
}

function decode(body: Buffer): unknown {
  try {
    return packr.unpack(body);
  } catch (cause) {
    throw new FrameError("Frame is not msgpack", { cause });
  }
}
