// What the connections of one lane share: one of everything that no connection needs for itself.

import type { Poller } from "../../posix/poller.ts";
import type { Counters } from "../counters.ts";
import type { RequestLimits } from "../limits.ts";
import type { Router, SiteVhost } from "../router.ts";
import type { Clocks } from "./clocks.ts";
import type { Connection } from "./connection.ts";
import type { HostMemory } from "./host-memory.ts";
import type { LaneHead } from "./lane-head.ts";
import type { Outcome } from "./ledger.ts";
import type { Past } from "./http1-context.ts";
import type { PreparedReply, ReplyClock, ReplyFrame } from "./prepared.ts";
import type { ConfiguredFields } from "./response-head.ts";
import type { Transport } from "./transport.ts";
import type { Ringing, Wheel } from "./wheel.ts";

/** What the connections of one lane share. */
export type LaneContext = {
  readonly router: Router;
  readonly serverString: string | undefined;
  readonly clocks: Clocks;
  readonly limits: RequestLimits;
  readonly counters: Counters;
  readonly wheel: Wheel<Ringing>;
  readonly poller: Pick<Poller, "follow"> | undefined;
  /** Serves one request after the other; nothing of it outlives a call. */
  readonly head: LaneHead;
  readonly hosts: HostMemory;
  readonly clock: ReplyClock;
  /** The batch in hand, what is to be written and who gets it; both empty between calls. */
  readonly out: Buffer[];
  readonly outcomes: Outcome[];
  readonly isDraining: () => boolean;
  /** What the server adds to the replies of a mount. */
  readonly frameOf: (vhost: SiteVhost, configured: ConfiguredFields) => ReplyFrame;
  /** The answer where no mount matches. */
  readonly notFound: PreparedReply;
  /** Takes a connection that the lane lets go, with the bytes it has not answered. */
  readonly handOver: (
    transport: Transport,
    rest: Buffer,
    connection: Connection,
    past: Past,
  ) => void;
};

/** What is left of a batch that failed is for nobody, least of all for the next client. */
export function forgetBatch({ out, outcomes }: LaneContext): void {
  if (outcomes.length > 0) outcomes.length = 0;
  if (out.length > 0) out.length = 0;
}
