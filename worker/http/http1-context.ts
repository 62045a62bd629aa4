// What the connections on Node's parser share, and what one brings along from the lane.

import type { Socket } from "node:net";
import type { Logger } from "../../log/logger.ts";
import type { Counters } from "../counters.ts";
import type { RequestLimits } from "../limits.ts";
import type { Router, SiteVhost } from "../router.ts";
import type { Clocks } from "./clocks.ts";
import type { UpgradeRequest } from "./upgrade-request.ts";

/** What the connections of one front share. */
export type Http1Context = {
  readonly router: Router;
  readonly serverString: string | undefined;
  readonly clocks: Clocks;
  readonly limits: RequestLimits;
  readonly counters: Counters;
  readonly log: Logger;
  readonly onUpgrade: (upgrade: UpgradeRequest) => void;
  readonly isDraining: () => boolean;
  /** A socket has closed, or belongs to HTTP no more. */
  readonly onGone: (socket: Socket) => void;
  readonly hooks: SocketHooks;
};

/** What all sockets of a front have in common: each finds its connection, as long as it is one of HTTP. */
export type SocketHooks = {
  readonly onClose: (this: Socket) => void;
  readonly onEnd: (this: Socket) => void;
  readonly onResume: (this: Socket) => void;
  /** Instead of Node's own, which resets a connection with unread bytes after the last answer. */
  readonly destroySoon: (this: Socket) => void;
};

/** What another front has done on a connection before it came here. */
export type Past = {
  /** That of its last request. */
  readonly vhost: SiteVhost;
  readonly requests: number;
  /** Whether it has a seat of that vhost. */
  readonly isSeated: boolean;
  /** Bytes read that are counted. Those written all are. */
  readonly countedRead: number;
};
