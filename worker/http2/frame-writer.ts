// Frames that are more than a number or two: our settings, acknowledgements, blocks of fields (RFC 9113 4.3, 6.2, 6.5, 6.7).

import { DEFAULT_TABLE_BYTES, flag, frameType, MAX_FRAME_BYTES } from "./frame.ts";
import type { EncodedBlock } from "./hpack-encoder.ts";
import type { Output } from "./output.ts";
import type { ReadyFrames } from "./prepared-blocks.ts";
import type { PeerSettings } from "./settings.ts";

const SETTING_BYTES = 6;
export const PING_BYTES = 8;
/** RFC 7541 6.3: our encoder's table has no entries and never will. */
const EMPTY_TABLE = Buffer.of(0x20);

export class FrameWriter {
  readonly #output: Output;
  readonly #peer: PeerSettings;
  /** Size of our encoder's table as far as the client knows. */
  #tableBytes = DEFAULT_TABLE_BYTES;

  constructor(output: Output, peer: PeerSettings) {
    this.#output = output;
    this.#peer = peer;
  }

  settings(settings: readonly (readonly [identifier: number, value: number])[]): void {
    this.#output.frame(frameType.settings, 0, 0, settings.length * SETTING_BYTES);
    for (const [identifier, value] of settings) {
      this.#output.number16(identifier);
      this.#output.number32(value);
    }
  }

  settingsAck(): void {
    this.#output.frame(frameType.settings, flag.ack, 0, 0);
  }

  /** `source` holds eight bytes at `start`. */
  ping(flags: number, source: Uint8Array, start: number): void {
    this.#output.frame(frameType.ping, flags, 0, PING_BYTES);
    this.#output.bytes(source, start, start + PING_BYTES);
  }

  /** HEADERS, and CONTINUATION where the block is larger than a frame. */
  fields(stream: number, block: EncodedBlock, ends: boolean): void {
    // RFC 9113 4.3.1: a client that made its table smaller waits for a word of it.
    if (this.#peer.headerTableBytes < this.#tableBytes) {
      this.#tableBytes = 0;
      const pieces = [EMPTY_TABLE, ...block.pieces];
      return this.#put(stream, { pieces, bytes: block.bytes + EMPTY_TABLE.length }, ends);
    }
    this.#put(stream, block, ends);
  }

  /** An answer that was made before, with all of its body. */
  ready(stream: number, { bytes, dataAt, block }: ReadyFrames, body: Buffer): void {
    const output = this.#output;
    const isBare = body.length === 0;
    const isOrdinary =
      this.#peer.headerTableBytes >= this.#tableBytes && block.length <= MAX_FRAME_BYTES;
    if (isOrdinary) output.frames(bytes, stream, dataAt, body.length);
    else this.fields(stream, { pieces: [block], bytes: block.length }, isBare);
    if (isOrdinary && dataAt !== undefined) return output.bytes(body, 0, body.length);
    for (let at = 0; at < body.length; at += MAX_FRAME_BYTES) {
      const end = Math.min(at + MAX_FRAME_BYTES, body.length);
      const flags = end === body.length ? flag.endStream : 0;
      output.frame(frameType.data, flags, stream, end - at, body.length - end);
      output.bytes(body, at, end);
    }
  }

  #put(stream: number, { pieces, bytes }: EncodedBlock, ends: boolean): void {
    const output = this.#output;
    const endFlag = ends ? flag.endStream : 0;
    if (bytes <= MAX_FRAME_BYTES) {
      output.frame(frameType.headers, flag.endHeaders | endFlag, stream, bytes);
      for (const piece of pieces) output.bytes(piece, 0, piece.length);
      return;
    }
    const whole = Buffer.concat(pieces, bytes);
    for (let at = 0; at < bytes; at += MAX_FRAME_BYTES) {
      const end = Math.min(at + MAX_FRAME_BYTES, bytes);
      const type = at === 0 ? frameType.headers : frameType.continuation;
      const flags = (end === bytes ? flag.endHeaders : 0) | (at === 0 ? endFlag : 0);
      output.frame(type, flags, stream, end - at);
      output.bytes(whole, at, end);
    }
  }
}
