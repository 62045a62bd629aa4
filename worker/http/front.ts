// What a front is: it speaks one version of HTTP on connections that were accepted elsewhere, and makes requests of them.

import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Logger } from "../../log/logger.ts";
import type { Poller } from "../../posix/poller.ts";
import type { Counters } from "../counters.ts";
import type { RequestLimits } from "../limits.ts";
import type { Router } from "../router.ts";
import type { ClockOptions } from "./clocks.ts";
import type { Connection } from "./connection.ts";
import type { Past } from "./http1-context.ts";
import type { UpgradeRequest } from "./upgrade-request.ts";

export type FrontOptions = {
  readonly router: Router;
  /** Value of the Server field; undefined sends none. */
  readonly serverString: string | undefined;
  readonly clocks: ClockOptions;
  readonly limits?: RequestLimits;
  readonly counters: Counters;
  readonly log: Logger;
  /** Hands out the bytes of bare descriptors, where there are any. */
  readonly poller?: Pick<Poller, "follow"> | undefined;
  /** Gets each WebSocket handshake; must settle it. */
  readonly onUpgrade: (upgrade: UpgradeRequest) => void;
};

export type Front = {
  /** Takes over a connection; bytes already read must have been unshifted. Its server needs `allowHalfOpen` and `noDelay`; whoever accepts counts open connections. */
  adopt(socket: Socket | TLSSocket, connection: Connection, past?: Past): void;
  /** From now on every answer is the last of its connection; idle connections stay until their keep-alive time is over. */
  drain(): void;
  /** Closes up to so many kept connections, those idle longest first, and tells how many. */
  shedIdle(count: number): number;
  /** Closes connections without a request. */
  closeIdle(): void;
  /** Cuts every connection and ends all timers. */
  stop(): void;
  /** Requests in flight, undecided upgrades among them. */
  readonly active: number;
  /** Connections here; those that switched to another protocol have left. */
  readonly open: number;
};
