// What each frame of the client means (RFC 9113 6). Rules whose breach ends the connection throw; what concerns one stream is
// told to the connection.

import { ConnectionFault, flag, Flood, frameType, MAX_WINDOW } from "./frame.ts";
import type { FrameWriter } from "./frame-writer.ts";
import {
  checkDependency,
  extendBlock,
  fragmentOf,
  PRIORITY_BYTES,
  unpad,
  type OpenBlock,
} from "./header-block.ts";
import { HpackDecoder, type DecodedFields } from "./hpack-decoder.ts";
import type { Inbound } from "./inbound.ts";
import type { Intake } from "./intake.ts";
import { KnownBlocks } from "./known-blocks.ts";
import { Allowance, type Http2Limits } from "./limits.ts";
import { parsePriority, type Priority } from "./priority.ts";
import { checkTrailers } from "./request-head.ts";
import type { Sender } from "./sender.ts";
import { readSettings, type PeerSettings } from "./settings.ts";
import type { Stream } from "./stream.ts";
import type { StreamTable } from "./stream-table.ts";
import { DEFAULT_TABLE_BYTES } from "./frame.ts";

const PING_BYTES = 8;
/** Flags of most requests. */
const WHOLE_REQUEST = flag.endStream | flag.endHeaders;
/** Tiny pieces of a body that may be unread: they cost more memory than their bytes. */
const MAX_UNREAD_PIECES = 4_096;
/** Frames of DATA below this bring less than they cost. */
const USEFUL_BYTES = 64;

/** What frames do to their connection. */
export type FramePeer = {
  readonly limits: Http2Limits;
  readonly streams: StreamTable;
  readonly sender: Sender;
  readonly inbound: Inbound;
  readonly peerSettings: PeerSettings;
  /** The highest stream that is still taken; others were never heard of. */
  readonly lastTakenStream: number;
  readonly intake: Intake;
  /** The client's side of a stream is complete. */
  onRemoteDone(stream: Stream): void;
  /** The client has reset a stream. */
  onRemoteReset(stream: Stream): void;
  readonly writer: FrameWriter;
  onPingAck(): void;
  /** The client goes away. */
  onGoaway(): void;
};

export class FrameHandler {
  readonly #peer: FramePeer;
  readonly #decoder: HpackDecoder;
  readonly #settings: Allowance;
  readonly #pings: Allowance;
  readonly #chatter: Allowance;
  readonly #cancels: Allowance;
  /** Priorities of requests that are still to come. */
  readonly #hints = new Map<number, Priority>();
  #hasSettings = false;
  #block: OpenBlock | undefined;
  readonly #known = new KnownBlocks();

  constructor(peer: FramePeer) {
    const { limits } = peer;
    this.#peer = peer;
    this.#decoder = new HpackDecoder({
      tableBytes: DEFAULT_TABLE_BYTES,
      listBytes: limits.headerListBytes,
    });
    this.#settings = new Allowance(limits.settings);
    this.#pings = new Allowance(limits.pings);
    this.#chatter = new Allowance(limits.chatter);
    this.#cancels = new Allowance(limits.cancels);
  }

  get hasSettings(): boolean {
    return this.#hasSettings;
  }

  /** Since when a block of fields is unfinished. */
  get blockSince(): number | undefined {
    return this.#block?.since;
  }

  /** Forgets what the client may never ask again. */
  forget(): void {
    this.#known.forget();
  }

  readonly handle = (
    type: number,
    flags: number,
    id: number,
    source: Buffer,
    start: number,
    end: number,
  ): void => {
    if (!this.#hasSettings && (type !== frameType.settings || flags & flag.ack))
      throw new ConnectionFault("PROTOCOL_ERROR", "The first frame is not SETTINGS");
    if (this.#block && (type !== frameType.continuation || id !== this.#block.stream))
      throw new ConnectionFault("PROTOCOL_ERROR", "A block of fields is interrupted");
    switch (type) {
      case frameType.data:
        return this.#onData(flags, id, source, start, end);
      case frameType.headers:
        return this.#onHeaders(flags, id, source, start, end);
      case frameType.priority:
        return this.#onPriority(id, source, start, end);
      case frameType.rstStream:
        return this.#onRstStream(id, end - start);
      case frameType.settings:
        return this.#onSettings(flags, id, source, start, end);
      case frameType.pushPromise:
        throw new ConnectionFault("PROTOCOL_ERROR", "Clients do not push");
      case frameType.ping:
        return this.#onPing(flags, id, source, start, end);
      case frameType.goaway:
        return this.#onGoaway(id, end - start);
      case frameType.windowUpdate:
        return this.#onWindowUpdate(id, source, start, end);
      case frameType.continuation:
        return this.#onContinuation(flags, source, start, end);
      case frameType.priorityUpdate:
        return this.#onPriorityUpdate(id, source, start, end);
      default:
        this.#chat("Too many unknown frames");
    }
  };

  /** RFC 9113 6.1. */
  #onData(flags: number, id: number, source: Buffer, start: number, end: number): void {
    const { streams, inbound } = this.#peer;
    const bytes = end - start;
    const ends = (flags & flag.endStream) !== 0;
    inbound.take(bytes);
    const stream = streams.expect(id);
    if (!stream) {
      if (ends) streams.unforgive(id);
      return inbound.give(bytes);
    }
    if (stream.isRemoteDone)
      throw new ConnectionFault("STREAM_CLOSED", `DATA behind the end of stream ${id}`);
    const payload = unpad(flags, source, start, end);
    const length = payload.end - payload.start;
    if (length < USEFUL_BYTES && !ends && !stream.tunnel) this.#chat("Too many small DATA frames");
    if (bytes > stream.receiveWindow) {
      inbound.give(bytes);
      return this.#peer.intake.faultStream(
        stream,
        "More than the window of a stream",
        "FLOW_CONTROL_ERROR",
      );
    }
    stream.receiveWindow -= bytes;
    stream.receivedBytes += length;
    const { announcedBytes } = stream;
    if (announcedBytes !== undefined) {
      const isWrong = ends
        ? stream.receivedBytes !== announcedBytes
        : stream.receivedBytes > announcedBytes;
      if (isWrong) {
        inbound.give(bytes);
        return this.#peer.intake.faultStream(stream, "The body is not as long as announced");
      }
    }
    const padding = bytes - length;
    if (padding > 0) {
      inbound.give(padding);
      inbound.giveStream(stream, padding);
    }
    if (length > 0) this.#deliver(stream, source.subarray(payload.start, payload.end));
    if (ends) this.#peer.onRemoteDone(stream);
  }

  #deliver(stream: Stream, chunk: Buffer): void {
    const reader = stream.tunnel ?? stream.body;
    // An answer that is complete needs no more of the request.
    if (!reader || reader.destroyed || stream.isLocalDone)
      return this.#peer.inbound.give(chunk.length);
    if (reader.receive(chunk) > MAX_UNREAD_PIECES)
      throw new Flood("pieces", "Too many small pieces of a body");
  }

  /** RFC 9113 6.2. */
  #onHeaders(flags: number, id: number, source: Buffer, start: number, end: number): void {
    if (id === 0) throw new ConnectionFault("PROTOCOL_ERROR", "HEADERS without a stream");
    const { streams, limits } = this.#peer;
    const isNew = streams.isNew(id);
    if (isNew) streams.use(id);
    else if (!streams.isForgiven(id)) {
      const stream = streams.expect(id);
      if (stream?.isRemoteDone)
        throw new ConnectionFault("STREAM_CLOSED", `HEADERS behind the end of stream ${id}`);
    }
    if (isNew && flags === WHOLE_REQUEST && this.#answerAgain(id, source, start, end)) return;
    const { start: from, end: to } = fragmentOf(flags, id, source, start, end);
    const endsStream = (flags & flag.endStream) !== 0;
    if (flags & flag.endHeaders) return this.#onBlock(id, endsStream, source, from, to);
    const block = {
      stream: id,
      endsStream,
      pieces: [],
      bytes: 0,
      frames: 0,
      since: performance.now(),
    };
    extendBlock(block, limits, source, from, to);
    this.#block = block;
  }

  /** A request that came before in the same bytes; false where it has to be read. */
  #answerAgain(id: number, source: Buffer, start: number, end: number): boolean {
    const { streams, limits, lastTakenStream } = this.#peer;
    const known = this.#known.find(source, start, end, this.#decoder.generation);
    if (!known || id > lastTakenStream || this.#hints.size > 0) return false;
    if (streams.size >= limits.concurrentStreams || !this.#peer.intake.openAgain(id, known))
      return false;
    this.#chatter.earn(1);
    return true;
  }

  /** RFC 9113 6.10. */
  #onContinuation(flags: number, source: Buffer, start: number, end: number): void {
    const block = this.#block;
    if (!block) throw new ConnectionFault("PROTOCOL_ERROR", "CONTINUATION of nothing");
    extendBlock(block, this.#peer.limits, source, start, end);
    if (!(flags & flag.endHeaders)) return;
    this.#block = undefined;
    const whole = Buffer.concat(block.pieces, block.bytes);
    this.#onBlock(block.stream, block.endsStream, whole, 0, whole.length);
  }

  /** A whole block. It is decoded even where nobody wants it, to keep the tables of both sides equal. */
  #onBlock(id: number, endsStream: boolean, source: Buffer, start: number, end: number): void {
    const { generation } = this.#decoder;
    const decoded = this.#decoder.decode(source, start, end);
    const { streams, limits, lastTakenStream } = this.#peer;
    const stream = streams.get(id);
    if (stream) return this.#onTrailers(stream, decoded, endsStream);
    if (streams.isForgiven(id)) {
      if (endsStream) streams.unforgive(id);
      return;
    }
    // Behind a GOAWAY: the client knows to ask somebody else.
    if (id > lastTakenStream) return;
    const hint = this.#hints.get(id);
    this.#hints.delete(id);
    if (streams.size >= limits.concurrentStreams) {
      this.#cancel("Too many streams");
      return this.#peer.intake.refuse(id);
    }
    this.#chatter.earn(1);
    const ready = this.#peer.intake.open(id, decoded, endsStream, hint);
    if (ready && generation === this.#decoder.generation)
      this.#known.keep(source, start, end, generation, ready);
  }

  /** RFC 9113 8.1: checked, and of no interest. */
  #onTrailers(stream: Stream, decoded: DecodedFields, endsStream: boolean): void {
    if (!endsStream)
      return this.#peer.intake.faultStream(stream, "Trailers do not end their stream");
    const wrong = checkTrailers(decoded);
    if (wrong !== undefined) return this.#peer.intake.faultStream(stream, wrong);
    const { announcedBytes, receivedBytes } = stream;
    if (announcedBytes !== undefined && receivedBytes !== announcedBytes)
      return this.#peer.intake.faultStream(stream, "The body is not as long as announced");
    this.#peer.onRemoteDone(stream);
  }

  /** RFC 9113 6.3: deprecated, but its form is not. */
  #onPriority(id: number, source: Buffer, start: number, end: number): void {
    if (id === 0) throw new ConnectionFault("PROTOCOL_ERROR", "PRIORITY without a stream");
    if (end - start !== PRIORITY_BYTES)
      throw new ConnectionFault("FRAME_SIZE_ERROR", "PRIORITY has another length");
    checkDependency(id, source, start);
    this.#chat("Too many PRIORITY frames");
  }

  /** RFC 9218 7.1. */
  #onPriorityUpdate(id: number, source: Buffer, start: number, end: number): void {
    if (id !== 0) throw new ConnectionFault("PROTOCOL_ERROR", "PRIORITY_UPDATE on a stream");
    if (end - start < 4)
      throw new ConnectionFault("FRAME_SIZE_ERROR", "PRIORITY_UPDATE is too short");
    this.#chat("Too many PRIORITY_UPDATE frames");
    const target = source.readUInt32BE(start) & 0x7fff_ffff;
    if (target === 0) throw new ConnectionFault("PROTOCOL_ERROR", "PRIORITY_UPDATE of nothing");
    const { streams, sender, limits } = this.#peer;
    const priority = parsePriority(source.toString("latin1", start + 4, end));
    const stream = streams.get(target);
    if (stream) sender.reprioritize(stream, priority);
    else if (streams.isNew(target) && this.#hints.size < limits.concurrentStreams)
      this.#hints.set(target, priority);
  }

  /** RFC 9113 6.4. */
  #onRstStream(id: number, bytes: number): void {
    if (bytes !== 4) throw new ConnectionFault("FRAME_SIZE_ERROR", "RST_STREAM has another length");
    const { streams } = this.#peer;
    const stream = streams.get(id);
    if (!stream) {
      if (id === 0 || id % 2 === 0 || streams.isNew(id))
        throw new ConnectionFault("PROTOCOL_ERROR", `RST_STREAM of the idle stream ${id}`);
      streams.unforgive(id);
      return this.#chat("Too many RST_STREAM frames");
    }
    if (!stream.isLocalDone) this.#cancel("Too many cancelled streams");
    this.#peer.onRemoteReset(stream);
  }

  /** RFC 9113 6.5. */
  #onSettings(flags: number, id: number, source: Buffer, start: number, end: number): void {
    if (id !== 0) throw new ConnectionFault("PROTOCOL_ERROR", "SETTINGS on a stream");
    if (flags & flag.ack) {
      if (end > start)
        throw new ConnectionFault("FRAME_SIZE_ERROR", "An acknowledgement brings settings");
      return;
    }
    if (!this.#settings.take()) throw new Flood("settings", "Too many SETTINGS");
    this.#hasSettings = true;
    const { peerSettings, streams, sender } = this.#peer;
    const before = peerSettings.initialWindow;
    readSettings(peerSettings, source, start, end);
    const change = peerSettings.initialWindow - before;
    if (change !== 0)
      for (const stream of streams) {
        // RFC 9113 6.9.2: it may well become negative.
        stream.sendWindow += change;
        if (stream.sendWindow > MAX_WINDOW)
          throw new ConnectionFault("FLOW_CONTROL_ERROR", "The window of a stream is too large");
        if (stream.sendWindow > 0) sender.renew(stream);
        else sender.remove(stream);
      }
    this.#peer.writer.settingsAck();
  }

  /** RFC 9113 6.7. */
  #onPing(flags: number, id: number, source: Buffer, start: number, end: number): void {
    if (id !== 0) throw new ConnectionFault("PROTOCOL_ERROR", "PING on a stream");
    if (end - start !== PING_BYTES)
      throw new ConnectionFault("FRAME_SIZE_ERROR", "PING has another length");
    if (flags & flag.ack) return this.#peer.onPingAck();
    if (!this.#pings.take()) throw new Flood("pings", "Too many PING frames");
    this.#peer.writer.ping(flag.ack, source, start);
  }

  /** RFC 9113 6.8. */
  #onGoaway(id: number, bytes: number): void {
    if (id !== 0) throw new ConnectionFault("PROTOCOL_ERROR", "GOAWAY on a stream");
    if (bytes < 8) throw new ConnectionFault("FRAME_SIZE_ERROR", "GOAWAY is too short");
    this.#chat("Too many GOAWAY frames");
    this.#peer.onGoaway();
  }

  /** RFC 9113 6.9. */
  #onWindowUpdate(id: number, source: Buffer, start: number, end: number): void {
    if (end - start !== 4)
      throw new ConnectionFault("FRAME_SIZE_ERROR", "WINDOW_UPDATE has another length");
    const increment = source.readUInt32BE(start) & MAX_WINDOW;
    const { streams, sender } = this.#peer;
    if (id === 0) {
      if (increment === 0) throw new ConnectionFault("PROTOCOL_ERROR", "WINDOW_UPDATE by 0");
      if (!sender.grow(increment))
        throw new ConnectionFault("FLOW_CONTROL_ERROR", "The connection's window is too large");
      return this.#chatUnlessBusy();
    }
    const stream = streams.get(id);
    if (!stream) {
      if (id % 2 === 0 || streams.isNew(id))
        throw new ConnectionFault("PROTOCOL_ERROR", `WINDOW_UPDATE of the idle stream ${id}`);
      return this.#chatUnlessBusy();
    }
    if (increment === 0) return this.#peer.intake.faultStream(stream, "WINDOW_UPDATE by 0");
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_WINDOW)
      return this.#peer.intake.faultStream(stream, "The window is too large", "FLOW_CONTROL_ERROR");
    sender.renew(stream);
    this.#chatUnlessBusy();
  }

  /** A client that reads much sends many updates: one for each frame that it got is its due. */
  #chatUnlessBusy(): void {
    this.#chatter.earn(this.#peer.sender.takeFrameCount() * 2);
    this.#chat("Too many WINDOW_UPDATE frames");
  }

  #chat(reason: string): void {
    if (!this.#chatter.take()) throw new Flood("chatter", reason);
  }

  #cancel(reason: string): void {
    if (!this.#cancels.take()) throw new Flood("cancels", reason);
  }
}
