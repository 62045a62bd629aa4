// What a request needs of the connection it came on.

import type { Connection } from "../http/connection.ts";
import type { Outcome } from "../http/ledger.ts";
import type { Http2Context } from "./context.ts";
import type { Http2Exchange } from "./exchange.ts";
import type { Residence } from "./residence.ts";
import type { Stream } from "./stream.ts";

/** What a request needs of its connection. */
export type RequestHost = {
  readonly context: Http2Context;
  readonly connection: Connection;
  readonly residence: Residence;
  /** performance.now() of the read in hand. */
  readonly readAt: number;
  /** Puts a whole answer out at once; false where the windows do not allow that, and nothing was done. */
  putReady(
    stream: Stream,
    block: readonly [Buffer, Buffer],
    body: Buffer,
    outcome: Outcome,
  ): boolean;
  /** Bytes of a body have been read. */
  onConsumed(stream: Stream, bytes: number): void;
  /** The exchange begins; the result ends it. */
  track(exchange: Http2Exchange): void;
  untrack(exchange: Http2Exchange): void;
  /** Resets a stream for what the client did. */
  faultStream(stream: Stream, reason: string): void;
};
