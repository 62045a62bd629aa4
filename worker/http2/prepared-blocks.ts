// Replies that mounts keep, as frames: their fields are encoded once, their Date renewed once a second, and what leaves differs in
// nothing but the number of its stream.

import type { PreparedReply } from "../http/prepared.ts";
import { composeFields, type ConfiguredFields } from "../http/response-head.ts";
import { FRAME_HEADER_BYTES, flag, frameType, MAX_FRAME_BYTES } from "./frame.ts";
import type { FieldEncoder } from "./hpack-encoder.ts";

/** The frames of an answer up to the first byte of its body. */
export type ReadyFrames = {
  readonly bytes: Buffer;
  /** Where the DATA frame begins whose body follows; undefined where HEADERS are all, or the body needs more frames than one. */
  readonly dataAt: number | undefined;
  /** The block of fields in it. */
  readonly block: Buffer;
};

/** Frames of one reply under the fields of one mount. */
type Kept = {
  readonly configured: ConfiguredFields;
  readonly block: Buffer;
  readonly hasDate: boolean;
  /** What the frames were made with. */
  date: Buffer;
  whole: ReadyFrames | undefined;
  bare: ReadyFrames | undefined;
};

const NOTHING = Buffer.alloc(0);

/** One serves all connections of a front. */
export class PreparedBlocks {
  readonly #encoder: FieldEncoder;
  readonly #serverString: string | undefined;
  readonly #kept = new WeakMap<PreparedReply, Kept>();

  constructor(encoder: FieldEncoder, serverString: string | undefined) {
    this.#encoder = encoder;
    this.#serverString = serverString;
  }

  /** Of a reply, with its body to come or, to HEAD, without. */
  frames(reply: PreparedReply, configured: ConfiguredFields, isHead: boolean): ReadyFrames {
    let kept = this.#kept.get(reply);
    if (kept?.configured !== configured) {
      kept = this.#encode(reply, configured);
      this.#kept.set(reply, kept);
    }
    const date = kept.hasDate ? NOTHING : this.#encoder.date();
    if (kept.date !== date) {
      kept.date = date;
      kept.whole = undefined;
      kept.bare = undefined;
    }
    return isHead ? (kept.bare ??= join(kept, 0)) : (kept.whole ??= join(kept, reply.bodyBytes));
  }

  #encode(reply: PreparedReply, configured: ConfiguredFields): Kept {
    const fields = composeFields({
      status: reply.status,
      headers: reply.headers,
      configured,
      serverString: this.#serverString,
      version: "2.0",
      length: reply.bodyBytes,
      closes: false,
      keepAliveSecs: 0,
    });
    return {
      configured,
      block: this.#encoder.undated(reply.status, fields),
      hasDate: fields.some((name, at) => at % 2 === 0 && name.toLowerCase() === "date"),
      date: NOTHING,
      whole: undefined,
      bare: undefined,
    };
  }
}

function join({ block: undated, date }: Kept, bodyBytes: number): ReadyFrames {
  const block = Buffer.concat([undated, date]);
  const flags = flag.endHeaders | (bodyBytes === 0 ? flag.endStream : 0);
  const head = frameHead(frameType.headers, flags, block.length);
  if (bodyBytes === 0 || bodyBytes > MAX_FRAME_BYTES)
    return { bytes: Buffer.concat([head, block]), dataAt: undefined, block };
  const data = frameHead(frameType.data, flag.endStream, bodyBytes);
  return {
    bytes: Buffer.concat([head, block, data]),
    dataAt: FRAME_HEADER_BYTES + block.length,
    block,
  };
}

function frameHead(type: number, flags: number, bytes: number): Buffer {
  return Buffer.of(bytes >> 16, bytes >> 8, bytes, type, flags, 0, 0, 0, 0);
}
