// A vhost as it runs in a worker, and what the router says of a request to it.

import type { MountConfig } from "../config/mount.ts";
import type { VhostConfig } from "../config/vhost.ts";
import type { VhostCounters } from "../ipc/stats.ts";
import type { Guard, PasswordGate } from "./access/guard.ts";
import type { AccessLog } from "./access-log.ts";
import type { Identify } from "./client-address.ts";
import type { Connection } from "./http/connection.ts";
import type { ByteString, HttpError } from "./http/exchange.ts";
import type { ConfiguredFields } from "./http/response-head.ts";
import type { MountTally } from "./counters.ts";
import type { Seats } from "./limits.ts";
import type { Mount } from "./mount.ts";
import type { ProtocolHost } from "./protocol-host.ts";

/** A provisioned mount and the keys it came from. */
export type LiveMount = {
  readonly config: MountConfig;
  readonly mount: Mount;
  /** Must let a request in before the mount, or anything that was kept of its answers, is asked. Knows the rules of the vhost too. */
  readonly guard?: Guard | undefined;
  /** Undefined where nobody counts. */
  readonly tally?: MountTally | undefined;
};

export type MountMatch = LiveMount & {
  /** What follows the mountpoint: "" or "/…". */
  readonly rest: ByteString;
  /** Configured fields of vhost and mount, combined. */
  readonly headers: ConfiguredFields;
};

export type SiteVhost = {
  readonly config: VhostConfig;
  /** "name:port", as counters are kept under. */
  readonly key: string;
  readonly secure: boolean;
  readonly counters: VhostCounters;
  readonly accessLog: AccessLog | undefined;
  readonly protocols: ReadonlyMap<string, ProtocolHost>;
  /** Before requests that match no mount. */
  readonly guard?: Guard | undefined;
  /** Protocols that ask for a password before they open a WebSocket. */
  readonly gates?: ReadonlyMap<string, PasswordGate> | undefined;
  /** Configured fields for answers that no mount gives. */
  readonly headers: ConfiguredFields;
  /** Why no upgrade is taken, where this connection may not use the vhost; its requests `match` a mount that refuses. */
  readonly refusal?: HttpError;
  /** Finds the client of a request and names the request; undefined where the connection tells everything. */
  readonly identify: Identify | undefined;
  /** For each connection one, from its first request here until it closes or asks for another vhost. */
  readonly seats: Seats;
  match(path: ByteString): MountMatch | undefined;
  /** The vhost as this connection may use it. */
  seenBy(connection: Arrival): SiteVhost;
};

/** What of a connection decides about vhosts. */
export type Arrival = Pick<Connection, "listener" | "localAddress" | "secure" | "tls">;
