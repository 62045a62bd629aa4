// One WebSocket connection as a protocol sees it: sending within a limit, liveness, traffic and one end.
// A protocol that throws loses this connection, never the worker.

import type { VhostCounters, WorkerCounters } from "../ipc/stats.ts";
import type { Logger } from "../log/logger.ts";
import type { ClientCertificate } from "./http/connection.ts";
import type { ByteString } from "./http/exchange.ts";
import type { PeerLimits, ProtocolHost } from "./protocol-host.ts";
import type { Peer } from "./protocol.ts";

/** A queued message costs some 300 bytes beside its payload, so tiny ones are limited by number too. */
export const SEND_QUEUE_LIMIT_MESSAGES = 16 * 1024;
/** Messages may come in bursts of what this many seconds allow. */
const BURST_SECS = 2;

const POLICY = 1008;
const TRY_LATER = 1013;
const GOING_WRONG = 1011;
const OPEN = 1;

/** What a peer needs of a WebSocket implementation. */
export interface FrameSocket {
  /** As in the browser: 1 is open. */
  readonly readyState: number;
  readonly bufferedAmount: number;
  send(message: string | Uint8Array, sent: () => void): void;
  ping(): void;
  pong(data: Buffer, mask: boolean, sent: () => void): void;
  close(code?: number, reason?: string): void;
  terminate(): void;
}

/** Running totals of a connection. */
export interface ByteMeter {
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

/** The connection below. */
export interface PeerStream extends ByteMeter {
  write(bytes: Buffer, written: () => void): unknown;
}

/** What the peers of one protocol on one vhost share: one of each, because there may be 100,000 peers. */
export type PeerHome = {
  readonly worker: number;
  readonly counters: Pick<VhostCounters, "rx" | "tx">;
  readonly host: Pick<ProtocolHost, "instance" | "limits">;
  readonly budget: QueueBudget;
  /** Makes whole frames, to be written beside those of FrameSocket; undefined where messages are compressed. */
  readonly toFrame: ((text: string) => Buffer) | undefined;
  readonly dropped: Pick<WorkerCounters, "wsDropped" | "wsTooSlow">;
  readonly log: Logger;
};

export type PeerOptions = {
  /** Different for each peer of a worker. */
  readonly number: number;
  readonly address: string;
  readonly userAgent: string;
  readonly target: ByteString;
  readonly client: ClientCertificate | undefined;
  readonly user: ByteString | undefined;
  readonly frames: FrameSocket;
  readonly stream: PeerStream;
  /** Totals of the stream that are counted already. */
  readonly counted: ByteMeter;
  readonly home: PeerHome;
};

/** What waits for all peers of a worker together. */
export type QueueBudget = { bytes: number; readonly maxBytes: number };

/** How long a peer may be silent. */
export type Patience = {
  /** Silence before it is asked for a sign of life, ms. */
  readonly idleMs: number;
  /** Time to answer that, ms. */
  readonly answerMs: number;
};

type PeerState = "open" | "closing" | "failed" | "gone";

/** The Peer of one upgraded connection; its owner reports what arrives and calls watch() now and then. */
export class WebSocketPeer implements Peer {
  readonly address: string;
  readonly userAgent: string;
  readonly target: ByteString;
  readonly client: ClientCertificate | undefined;
  readonly user: ByteString | undefined;
  data: unknown = undefined;

  readonly #number: number;
  readonly #openedAtMs = Date.now();
  readonly #frames: FrameSocket;
  readonly #stream: PeerStream;
  readonly #home: PeerHome;
  readonly #limits: PeerLimits;
  #state: PeerState = "open";
  #countedRead: number;
  #countedWritten: number;
  #queuedMessages = 0;
  /** What of the budget is ours, bytes. */
  #queuedBytes = 0;
  /** Waits until the queue is empty ("newest" only). */
  #newest: string | Uint8Array | undefined;
  /** Messages it may still send now, and when that was so. */
  #allowance: number;
  #allowedAt = performance.now();
  #heardAt = performance.now();
  #askedAt: number | undefined;

  /** What is called when a message has left; made for the first one. */
  #onSent: (() => void) | undefined;

  constructor(options: PeerOptions) {
    this.#number = options.number;
    this.address = options.address;
    this.userAgent = options.userAgent;
    this.target = options.target;
    this.client = options.client;
    this.user = options.user;
    this.#frames = options.frames;
    this.#stream = options.stream;
    this.#home = options.home;
    this.#limits = options.home.host.limits;
    this.#allowance = this.#limits.maxMessagesPerSec * BURST_SECS;
    this.#countedRead = options.counted.bytesRead;
    this.#countedWritten = options.counted.bytesWritten;
  }

  get id(): string {
    return `${this.#home.worker}-${this.#number}`;
  }

  get openedAt(): Date {
    return new Date(this.#openedAtMs);
  }

  /** Tells the protocol that the peer is here. */
  begin(): void {
    this.#guard(() => this.#home.host.instance.open?.(this));
  }

  /** Hands a message to the protocol. */
  receive(message: Buffer, isBinary: boolean): void {
    // Messages that crossed our close frame still count: what a drawing client sent last is not lost.
    if (this.#state !== "open" && this.#state !== "closing") return;
    if (this.#limits.maxMessagesPerSec > 0 && !this.#mayReceive())
      return this.close(POLICY, "Too many messages");
    this.#guard(() => this.#home.host.instance.message?.(this, message, isBinary));
  }

  /** Answers a ping with its data (RFC 6455 5.5.3), within the limits of any other message. */
  answerPing(data: Buffer): void {
    if (this.#isFull()) this.#refuseMore();
    else if (this.#state === "open") {
      this.#queuedMessages += 1;
      this.#frames.pong(data, false, this.#sent);
      this.#account();
    }
  }

  /** Tells the protocol that the connection is over. */
  end(code: number, reason: string): void {
    this.#countTraffic();
    this.#newest = undefined;
    this.#home.budget.bytes -= this.#queuedBytes;
    this.#queuedBytes = 0;
    this.#become("gone");
    this.#guard(() => this.#home.host.instance.close?.(this, code, reason));
  }

  send(message: string | Uint8Array): boolean {
    const frames = this.#frames;
    if (this.#state !== "open" || frames.readyState !== OPEN) return false;
    const { whenFull } = this.#limits.queue;
    if (whenFull === "newest" && frames.bufferedAmount > 0) {
      if (this.#newest !== undefined) this.#home.dropped.wsDropped += 1;
      this.#newest = message;
      return true;
    }
    if (this.#isFull()) {
      if (whenFull === "drop") this.#home.dropped.wsDropped += 1;
      else this.#refuseMore();
      return false;
    }
    this.#queuedMessages += 1;
    const { toFrame } = this.#home;
    if (typeof message === "string" && toFrame) this.#stream.write(toFrame(message), this.#sent);
    else frames.send(message, this.#sent);
    this.#account();
    return true;
  }

  close(code = 1000, reason = ""): void {
    if (this.#state !== "open") return;
    this.#frames.close(code, reason);
    this.#become("closing");
  }

  /** Ends the connection without ceremony: a closing handshake would wait behind what the peer does not read. */
  cut(why: string): void {
    if (this.#state === "gone") return;
    this.#become("failed");
    this.#home.log.debug({ peer: this.id, address: this.address }, `WebSocket cut: ${why}`);
    this.#frames.terminate();
  }

  /** Counts the bytes moved since the last look, pings a silent peer, cuts one that does not answer. */
  watch(now: number, patience: Patience): void {
    if (this.#countTraffic()) {
      this.#heardAt = now;
      this.#askedAt = undefined;
      return;
    }
    // The time of a closing handshake is limited by the WebSocket implementation.
    if (this.#state !== "open") return;
    if (this.#askedAt !== undefined) {
      if (now - this.#askedAt >= patience.answerMs) this.cut("No answer to a ping");
    } else if (now - this.#heardAt >= patience.idleMs) {
      this.#askedAt = now;
      this.#frames.ping();
    }
  }

  /** True when something arrived since the last call. */
  #countTraffic(): boolean {
    const { bytesRead, bytesWritten } = this.#stream;
    const received = bytesRead - this.#countedRead;
    this.#home.counters.rx += received;
    this.#home.counters.tx += bytesWritten - this.#countedWritten;
    this.#countedRead = bytesRead;
    this.#countedWritten = bytesWritten;
    return received > 0;
  }

  /** Runs a hook of the protocol, whose author may have made it async. */
  #guard(hook: () => unknown): void {
    try {
      const outcome = hook();
      if (outcome instanceof Promise) outcome.catch((error: unknown) => this.#fail(error));
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#home.log.error(
      { err: error, peer: this.id, address: this.address },
      "Protocol plugin failed",
    );
    if (this.#state === "gone" || this.#state === "failed") return;
    this.#become("failed");
    this.#frames.close(GOING_WRONG, "Protocol failed");
  }

  #isFull(): boolean {
    const waiting = this.#frames.bufferedAmount;
    if (waiting === 0) return false;
    const { bytes, maxBytes } = this.#home.budget;
    return (
      waiting > this.#limits.queue.maxBytes ||
      this.#queuedMessages > SEND_QUEUE_LIMIT_MESSAGES ||
      bytes > maxBytes
    );
  }

  /** The close frame goes behind what waits; a peer that does not read even that is cut when its time is over. */
  #refuseMore(): void {
    if (this.#state !== "open") return;
    this.#home.dropped.wsTooSlow += 1;
    this.#home.log.debug({ peer: this.id, address: this.address }, "WebSocket closed: too slow");
    this.close(TRY_LATER, "Too slow");
  }

  /** Keeps the budget in step with what waits here. */
  #account(): void {
    if (this.#state === "gone") return;
    const waiting = this.#frames.bufferedAmount;
    this.#home.budget.bytes += waiting - this.#queuedBytes;
    this.#queuedBytes = waiting;
  }

  get #sent(): () => void {
    return (this.#onSent ??= () => {
      this.#queuedMessages -= 1;
      this.#account();
      const newest = this.#newest;
      if (newest === undefined || this.#frames.bufferedAmount > 0) return;
      this.#newest = undefined;
      this.send(newest);
    });
  }

  #mayReceive(): boolean {
    const perSec = this.#limits.maxMessagesPerSec;
    const now = performance.now();
    const earned = ((now - this.#allowedAt) / 1000) * perSec;
    this.#allowance = Math.min(perSec * BURST_SECS, this.#allowance + earned) - 1;
    this.#allowedAt = now;
    return this.#allowance >= 0;
  }

  #become(state: PeerState): void {
    this.#state = state;
  }
}
