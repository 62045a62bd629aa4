// The requests of one connection: each gets a stream, or is answered from memory without one. Until all of an answer has been taken it is
// known here.

import type { Connection } from "../http/connection.ts";
import type { Http2Context } from "./context.ts";
import type { Http2Exchange } from "./exchange.ts";
import { Flood, type ErrorName } from "./frame.ts";
import type { FrameWriter } from "./frame-writer.ts";
import type { DecodedFields } from "./hpack-decoder.ts";
import type { Inbound } from "./inbound.ts";
import { Allowance } from "./limits.ts";
import type { ReadyFrames } from "./prepared-blocks.ts";
import type { Priority } from "./priority.ts";
import type { ReadyRequests } from "./ready.ts";
import type { RequestHost } from "./request-host.ts";
import { beginRequest } from "./requests.ts";
import type { Residence } from "./residence.ts";
import type { Sender } from "./sender.ts";
import type { PeerSettings } from "./settings.ts";
import { Stream, type StreamOwner } from "./stream.ts";
import type { StreamTable } from "./stream-table.ts";
import { Unsettled } from "./unsettled.ts";

/** The connection. */
export type IntakeOwner = StreamOwner & {
  readonly context: Http2Context;
  readonly connection: Connection;
  readonly residence: Residence;
  readonly streams: StreamTable;
  readonly peerSettings: PeerSettings;
  readonly sender: Sender;
  readonly writer: FrameWriter;
  readonly inbound: Inbound;
  /** performance.now() of the read in hand. */
  readonly readAt: number;
  /** Takes no new requests. */
  leave(): void;
  /** The last stream is gone. */
  onEmpty(now: number): void;
};

export class Intake implements RequestHost {
  readonly context: Http2Context;
  readonly connection: Connection;
  readonly residence: Residence;
  readonly unsettled: Unsettled;
  readonly #owner: IntakeOwner;
  readonly #faults: Allowance;
  /** Not yet counted and logged; some of them have no stream any more. */
  readonly #exchanges = new Set<Http2Exchange>();

  constructor(owner: IntakeOwner) {
    const { context, connection, residence, output } = owner;
    this.#owner = owner;
    this.context = context;
    this.connection = connection;
    this.residence = residence;
    this.unsettled = new Unsettled(output, context.counters);
    this.#faults = new Allowance(context.limits.faults);
  }

  get readAt(): number {
    return this.#owner.readAt;
  }

  /** Whether nothing is under way. */
  get isEmpty(): boolean {
    return this.#exchanges.size === 0 && this.unsettled.isEmpty;
  }

  /** Takes a new request. What is returned has answered it from memory, and can do so again for the same fields. */
  open(
    id: number,
    decoded: DecodedFields,
    endsStream: boolean,
    hint: Priority | undefined,
  ): ReadyRequests | undefined {
    // 431 costs a client nothing and makes us decode a lot.
    if (decoded.isTooLarge) this.#countFault("Too many requests with too many fields");
    const ready = beginRequest(this, id, decoded, endsStream);
    const stream = hint && this.#owner.streams.get(id);
    if (hint && stream) this.#owner.sender.reprioritize(stream, hint);
    this.#limitRequests();
    return ready;
  }

  /** Takes a request whose like was answered from memory; false where that is not possible now, and nothing was done. */
  openAgain(id: number, requests: ReadyRequests): boolean {
    // A request is counted before it is answered, and only once if it is not answered here.
    if (!this.residence.isAt(requests.vhost) || !requests.answer(this, id)) return false;
    this.residence.stay();
    this.#limitRequests();
    return true;
  }

  refuse(id: number): void {
    this.#owner.output.rstStream(id, "REFUSED_STREAM");
    this.#owner.streams.forgive(id);
  }

  addStream(id: number): Stream {
    const { initialWindow } = this.#owner.peerSettings;
    const stream = new Stream(
      id,
      this.#owner,
      initialWindow,
      this.context.limits.streamWindowBytes,
    );
    this.#owner.streams.add(stream);
    return stream;
  }

  putReady(id: number, frames: ReadyFrames, body: Buffer): boolean {
    const { peerSettings, sender, writer, streams } = this.#owner;
    if (body.length > peerSettings.initialWindow || !sender.takeWindow(body.length)) return false;
    writer.ready(id, frames, body);
    if (streams.size === 0) this.#owner.onEmpty(this.readAt);
    return true;
  }

  faultStream(stream: Stream, reason: string, code: ErrorName = "PROTOCOL_ERROR"): void {
    this.context.log.debug({ stream: stream.id, code, reason }, "HTTP/2 stream reset");
    this.#owner.reset(stream, code);
    this.#countFault("Too many faulty streams");
  }

  onConsumed(stream: Stream, bytes: number): void {
    const { inbound } = this.#owner;
    inbound.give(bytes);
    inbound.giveStream(stream, bytes);
    this.#owner.wake();
  }

  track(exchange: Http2Exchange): void {
    this.#exchanges.add(exchange);
    this.context.counters.activeRequests += 1;
  }

  untrack(exchange: Http2Exchange): void {
    this.#exchanges.delete(exchange);
    this.context.counters.activeRequests -= 1;
  }

  /** The connection is gone. */
  lose(): void {
    for (const exchange of this.#exchanges) exchange.lose();
    this.unsettled.lose();
  }

  #limitRequests(): void {
    if (this.residence.requests >= this.context.requestLimits.maxRequests) this.#owner.leave();
  }

  #countFault(reason: string): void {
    if (!this.#faults.take()) throw new Flood("streamFaults", reason);
  }
}
