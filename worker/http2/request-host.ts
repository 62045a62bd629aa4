// What a request needs of the connection it came on.

import type { Connection } from "../http/connection.ts";
import type { Http2Context } from "./context.ts";
import type { Http2Exchange } from "./exchange.ts";
import type { ReadyFrames } from "./prepared-blocks.ts";
import type { Residence } from "./residence.ts";
import type { Stream } from "./stream.ts";
import type { Unsettled } from "./unsettled.ts";

/** What a request needs of its connection. */
export type RequestHost = {
  readonly context: Http2Context;
  readonly connection: Connection;
  readonly residence: Residence;
  /** performance.now() of the read in hand. */
  readonly readAt: number;
  /** Answers that left without an exchange. */
  readonly unsettled: Unsettled;
  /** The request gets a stream. */
  addStream(id: number): Stream;
  /** Puts a whole answer out at once, for which there is no stream; false where the windows do not allow that, and nothing was done. */
  putReady(id: number, frames: ReadyFrames, body: Buffer): boolean;
  /** Bytes of a body have been read. */
  onConsumed(stream: Stream, bytes: number): void;
  /** The exchange begins; the result ends it. */
  track(exchange: Http2Exchange): void;
  untrack(exchange: Http2Exchange): void;
  /** Resets a stream for what the client did. */
  faultStream(stream: Stream, reason: string): void;
};
