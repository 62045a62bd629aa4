// Text messages as the bytes of their frame (RFC 6455 5.2), so that a message to ten thousand peers is encoded once.

const FINAL_TEXT = 0x81;
const LENGTH_IN_16_BITS = 126;
const LENGTH_IN_64_BITS = 127;
/** A longer one is not kept for the next peer. */
const MAX_KEPT_CHARACTERS = 64 * 1024;

/** Makes frames; the one made last is kept, because the same text usually goes to many peers in a row. */
export function createTextFrames(): (text: string) => Buffer {
  let lastText: string | undefined;
  let lastFrame: Buffer = Buffer.alloc(0);
  return (text) => {
    if (text === lastText) return lastFrame;
    const frame = encodeTextFrame(text);
    if (text.length <= MAX_KEPT_CHARACTERS) {
      lastText = text;
      lastFrame = frame;
    }
    return frame;
  };
}

/** One unmasked frame, as a server sends it. */
export function encodeTextFrame(text: string): Buffer {
  const bytes = Buffer.byteLength(text);
  const headBytes = bytes < LENGTH_IN_16_BITS ? 2 : bytes < 0x10000 ? 4 : 10;
  const frame = Buffer.allocUnsafe(headBytes + bytes);
  frame[0] = FINAL_TEXT;
  if (headBytes === 2) frame[1] = bytes;
  else if (headBytes === 4) {
    frame[1] = LENGTH_IN_16_BITS;
    frame.writeUInt16BE(bytes, 2);
  } else {
    frame[1] = LENGTH_IN_64_BITS;
    frame.writeBigUInt64BE(BigInt(bytes), 2);
  }
  frame.write(text, headBytes);
  return frame;
}
