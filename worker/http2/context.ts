// What the HTTP/2 connections of one front share.

import type { Logger } from "../../log/logger.ts";
import type { Counters } from "../counters.ts";
import type { RequestLimits } from "../limits.ts";
import type { Clocks } from "../http/clocks.ts";
import type { Connection } from "../http/connection.ts";
import type { UpgradeRequest } from "../http/upgrade-request.ts";
import type { Router } from "../router.ts";
import type { ConnectionFault } from "./frame.ts";
import type { FieldEncoder } from "./hpack-encoder.ts";
import type { Http2Limits } from "./limits.ts";
import type { ChunkPool } from "./chunk-pool.ts";
import type { PreparedBlocks } from "./prepared-blocks.ts";

export type Http2Context = {
  readonly router: Router;
  readonly serverString: string | undefined;
  readonly clocks: Clocks;
  readonly limits: Http2Limits;
  readonly requestLimits: RequestLimits;
  readonly counters: Counters;
  readonly log: Logger;
  readonly encoder: FieldEncoder;
  readonly blocks: PreparedBlocks;
  readonly pool: ChunkPool;
  readonly onUpgrade: (upgrade: UpgradeRequest) => void;
  /** A connection is ended for what its client did. */
  readonly onFault: (connection: Connection, fault: ConnectionFault) => void;
};
