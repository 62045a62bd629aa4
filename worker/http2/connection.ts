// One HTTP/2 connection: what its streams and frames have in common, its clocks, and its end (RFC 9113 5, 6.8). What each frame
// means is in frame-handler.ts, requests are taken in intake.ts, answers leave through sender.ts.

import type { Connection } from "../http/connection.ts";
import type { Transport, TransportUser } from "../http/transport.ts";
import type { Http2Context } from "./context.ts";
import { ConnectionFault, MAX_STREAM_ID, type ErrorName } from "./frame.ts";
import { FrameHandler, type FramePeer } from "./frame-handler.ts";
import { FrameReader } from "./frame-reader.ts";
import { FrameWriter } from "./frame-writer.ts";
import { Inbound } from "./inbound.ts";
import { Intake, type IntakeOwner } from "./intake.ts";
import type { Http2Limits } from "./limits.ts";
import { Output } from "./output.ts";
import { watchStream } from "./stall.ts";
import { Residence } from "./residence.ts";
import { Sender } from "./sender.ts";
import { defaultPeerSettings, ownSettings } from "./settings.ts";
import type { Stream } from "./stream.ts";
import { StreamTable } from "./stream-table.ts";

/** Sent with the first GOAWAY of a drain: when it returns, the client has read that. */
const DRAIN_PING = Buffer.from("portico.", "latin1");

/** A connection that has rested for so long keeps nothing that only saves time. */
const FORGET_MS = 5_000;

type State = "open" | "leaving" | "last-streams" | "closing" | "closed";

export class Http2Connection implements FramePeer, IntakeOwner, TransportUser {
  /** Of WebSockets. */
  readonly callsPlugins = true;
  readonly context: Http2Context;
  readonly connection: Connection;
  readonly output: Output;
  readonly sender: Sender;
  readonly inbound: Inbound;
  readonly residence: Residence;
  readonly streams = new StreamTable();
  readonly peerSettings = defaultPeerSettings();
  readonly #transport: Transport;
  readonly #onGone: (gone: Http2Connection) => void;
  readonly writer: FrameWriter;
  readonly intake: Intake;
  readAt = 0;
  readonly #frames: FrameHandler;
  readonly #reader: FrameReader;
  #state: State = "open";
  /** performance.now() of the last change of state, or of the last stream's end. */
  #since = performance.now();
  #isReceiving = false;
  #isAwake = false;
  /** Bytes the client had taken when it was last looked at, and since when. */
  #takenBytes = 0;
  #takenAt = performance.now();
  #lastTakenStream = MAX_STREAM_ID;
  #isPeerLeaving = false;

  constructor(
    context: Http2Context,
    transport: Transport,
    connection: Connection,
    onGone: (gone: Http2Connection) => void,
  ) {
    this.context = context;
    this.#onGone = onGone;
    this.connection = connection;
    this.#transport = transport;
    this.output = new Output(transport, context.pool, () => this.#onTaken());
    this.writer = new FrameWriter(this.output, this.peerSettings);
    this.sender = new Sender(this.output, context.limits.outputBytes);
    this.inbound = new Inbound(this.output, context.limits);
    this.residence = new Residence(context.router, transport, connection);
    this.intake = new Intake(this);
    this.#frames = new FrameHandler(this);
    this.#reader = new FrameReader(this.#frames.handle);
  }

  get limits(): Http2Limits {
    return this.context.limits;
  }

  get lastTakenStream(): number {
    return this.#lastTakenStream;
  }

  /** Begins to speak. */
  attach(): void {
    this.#transport.begin(this);
    this.writer.settings(ownSettings(this.limits));
    this.inbound.open();
    this.output.flush();
    this.#transport.resume();
  }

  /** Whether the connection can be closed without anybody missing anything. */
  get isIdle(): boolean {
    return this.streams.size === 0 && this.intake.isEmpty && !this.#reader.isInside;
  }

  /** Of its last change; performance.now(). */
  get since(): number {
    return this.#since;
  }

  /** Takes no new requests: a first GOAWAY warns, the second, a round trip later, says which were taken (RFC 9113 6.8). */
  leave(): void {
    if (this.#state !== "open") return;
    this.#enter("leaving");
    this.output.goaway(MAX_STREAM_ID, "NO_ERROR", "");
    this.writer.ping(0, DRAIN_PING, 0);
    this.wake();
  }

  /** Ends with what has been answered. */
  close(): void {
    if (this.#state === "open" || this.#state === "leaving") this.#sayLast();
    this.#finish();
  }

  /** Cuts the connection, whatever it is doing. */
  destroy(): void {
    this.#transport.destroy();
  }

  /** Looks at the clocks. */
  sweep(now: number): void {
    const { clocks } = this.context;
    const waited = now - this.#since;
    this.residence.countBytes();
    if (this.#isStuck(now)) return this.#cutSlow();
    if (this.#state === "closing") {
      if (waited > clocks.lingerMs) this.#transport.destroy();
      return;
    }
    if (this.#state === "leaving" && waited > clocks.lingerMs) this.#sayLast();
    const { blockSince } = this.#frames;
    if (blockSince !== undefined && now - blockSince > clocks.headerMs)
      return this.#cutSlow("A block of fields takes too long");
    for (const stream of this.streams) watchStream(stream, this.context, now);
    // Whoever is in the middle of a request is not idle, and has a clock of its own.
    if (this.streams.size > 0 || blockSince !== undefined) return;
    if (waited > FORGET_MS) this.#frames.forget();
    const keepMs =
      this.residence.requests > 0
        ? this.residence.vhost.config.keepalive_timeout * 1000
        : this.context.clocks.headerMs;
    if (waited <= keepMs) return;
    if (this.#frames.hasSettings) this.close();
    else this.#transport.destroy();
  }

  // What frames do.

  onRemoteDone(stream: Stream): void {
    stream.isRemoteDone = true;
    stream.tunnel?.complete();
    if (stream.isLocalDone) this.#forget(stream);
    else stream.body?.complete();
  }

  onRemoteReset(stream: Stream): void {
    stream.isRemoteDone = true;
    this.#drop(stream);
  }

  onPingAck(): void {
    if (this.#state === "leaving") this.#sayLast();
  }

  onGoaway(): void {
    this.#isPeerLeaving = true;
    this.#endIfEmpty();
  }

  // What streams do.

  schedule(stream: Stream): void {
    this.sender.add(stream);
    this.wake();
  }

  wake(): void {
    // At the end of a read all answers to it leave together; what comes later waits for others of its turn.
    if (this.#isReceiving || this.#isAwake) return;
    this.#isAwake = true;
    setImmediate(() => {
      this.#isAwake = false;
      this.sender.pump();
      this.output.flush();
    });
  }

  onSent(stream: Stream): void {
    stream.isLocalDone = true;
    this.sender.remove(stream);
    if (stream.exchange) this.output.whenTaken(stream.exchange);
    if (stream.isRemoteDone) this.#forget(stream);
    else {
      // The rest of the request is of no use, but a client in the middle of it may need a moment to end it.
      stream.answeredAt = performance.now();
      stream.body?.destroy();
    }
  }

  reset(stream: Stream, code: ErrorName): void {
    if (stream.isReset || (stream.isLocalDone && stream.isRemoteDone)) return;
    this.output.rstStream(stream.id, code);
    if (!stream.isRemoteDone) this.streams.forgive(stream.id);
    this.#drop(stream);
    this.wake();
  }

  receive(bytes: Buffer): void {
    if (this.#state === "closing" || this.#state === "closed") return;
    this.#isReceiving = true;
    this.readAt = performance.now();
    try {
      // Parts of it are kept, and the buffer is not ours.
      this.#reader.push(Buffer.from(bytes));
    } catch (error) {
      this.#fail(error);
    }
    this.#isReceiving = false;
    this.intake.unsettled.divide();
    this.sender.pump();
    this.output.flush();
    const { outputBytes, replyBytes } = this.limits;
    // A client that asks and does not read is not read either.
    if (this.output.pendingBytes > outputBytes + replyBytes) this.#transport.pause();
  }

  #onTaken(): void {
    if (this.#state === "closing") {
      if (this.output.pendingBytes === 0) this.#transport.discard();
      else this.output.flush();
      return;
    }
    this.#transport.resume();
    this.sender.pump();
    this.output.flush();
  }

  /** Whether the client has taken nothing of what waits for it for as long as it may. */
  #isStuck(now: number): boolean {
    const { takenBytes } = this.#transport;
    if (this.output.pendingBytes === 0 || takenBytes !== this.#takenBytes) {
      this.#takenBytes = takenBytes;
      this.#takenAt = now;
    }
    return now - this.#takenAt > this.context.clocks.sendMs;
  }

  /** The stream is gone at once, for both sides. */
  #drop(stream: Stream): void {
    if (stream.isReset) return;
    stream.isReset = true;
    stream.isLocalDone = true;
    this.sender.remove(stream);
    this.#forget(stream);
    stream.discard();
    stream.body?.destroy(new Error("The request was cancelled"));
    stream.tunnel?.destroy();
    stream.exchange?.lose();
  }

  #forget(stream: Stream): void {
    this.streams.remove(stream);
    if (this.streams.size === 0) this.onEmpty(performance.now());
  }

  onEmpty(now: number): void {
    this.#since = now;
    this.#endIfEmpty();
  }

  #cutSlow(reason?: string): void {
    this.context.counters.worker.clientsTooSlow += 1;
    if (reason === undefined) this.#transport.destroy();
    else this.#fail(new ConnectionFault("ENHANCE_YOUR_CALM", reason));
  }

  #enter(state: State): void {
    if (this.#state === "closed") return;
    this.#state = state;
    this.#since = performance.now();
  }

  #sayLast(): void {
    this.#enter("last-streams");
    this.#lastTakenStream = this.streams.lastId;
    this.output.goaway(this.#lastTakenStream, "NO_ERROR", "");
    this.#endIfEmpty();
    this.wake();
  }

  #endIfEmpty(): void {
    const isLeaving = this.#state === "last-streams" || this.#isPeerLeaving;
    if (isLeaving && this.streams.size === 0) this.#finish();
  }

  #fail(error: unknown): void {
    const fault =
      error instanceof ConnectionFault
        ? error
        : new ConnectionFault("INTERNAL_ERROR", "The server failed");
    if (fault !== error) this.context.log.error({ err: error }, "An HTTP/2 connection failed");
    this.context.onFault(this.connection, fault);
    this.output.goaway(this.streams.lastId, fault.code, fault.message);
    this.#finish();
  }

  /** Nothing more is read; what was put out still leaves. */
  #finish(): void {
    if (this.#state === "closing" || this.#state === "closed") return;
    this.#enter("closing");
    for (const stream of this.streams) this.#drop(stream);
    this.output.flush();
    if (this.output.pendingBytes === 0) this.#transport.discard();
  }

  /** Without a word from the client no window opens and no stream is cancelled: it has left (unlike HTTP/1.1, where it may only have asked its last). */
  receiveEnd(): void {
    this.#finish();
  }

  onFlushed(): void {
    this.output.onTaken();
  }

  onClose(): void {
    this.#enter("closed");
    for (const stream of this.streams) this.#drop(stream);
    this.intake.lose();
    this.residence.leave();
    this.#onGone(this);
  }
}
