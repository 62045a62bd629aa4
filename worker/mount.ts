// What a mount type is. Options are decided in provision(); a request finds none left to read.

import type { MountConfig, Origin } from "../config/mount.ts";
import type { VhostConfig } from "../config/vhost.ts";
import type { Logger } from "../log/logger.ts";
import type { PasswordGate } from "./access/guard.ts";
import type { Starter } from "../posix/child.ts";
import type { PageCache } from "../posix/page-cache.ts";
import type { ByteString, Exchange } from "./http/exchange.ts";
import type { Compressor } from "./compressor.ts";
import type { ReadyRequest } from "./http/lane-head.ts";
import type { Health } from "./health.ts";
import type { PreparedReply } from "./http/prepared.ts";
import type { CgiCounters } from "./counters.ts";
import type { ReadBoard } from "./board-reader.ts";
import type { Docroots } from "./docroot.ts";
import type { FileCache } from "./file-cache.ts";
import type { ProtocolHost } from "./protocol-host.ts";

/** A small file in memory. */
export type Page = { readonly type: string | undefined; readonly bytes: Uint8Array };

/** A provisioned mount. */
export interface Mount {
  /** `rest` is the decoded path behind the mountpoint: "" or "/…". A throw becomes an error reply. */
  handle(exchange: Exchange, rest: ByteString): void | Promise<void>;
  /**
   * The same answer, where it is ready in memory: the lane sends it by itself and never asks `handle`. A promise: ask again once
   * it is done. Undefined: only `handle` can answer. `request` is valid during the call. Whatever wraps a mount and does not
   * know of this has none, and sees every request.
   */
  ready?(request: ReadyRequest, rest: ByteString): PreparedReply | Promise<void> | undefined;
  /** The file at a path, whole, to be shown as an error page; undefined where it is too large for that. Throws HttpError. */
  readonly readPage?: ((rest: ByteString) => Promise<Page | undefined>) | undefined;
  /** Ends what outlives requests (children, watchers). */
  stop?(): void;
}

export type MountContext<O extends Origin = Origin> = {
  readonly vhost: VhostConfig;
  readonly config: MountConfig;
  readonly origin: O;
  readonly log: Logger;
  /** Version of this server. */
  readonly version: string;
  readonly cgiCounters: CgiCounters;
  /** What starts programs, one for the whole worker; opened on first use. */
  readonly starter: () => Promise<Starter>;
  /** The statistics of the whole server, as of about now. */
  readonly readBoard: ReadBoard;
  readonly health: Pick<Health, "state">;
  readonly docroots: Docroots;
  /** Encodes files for clients that accept it, one for the whole worker. */
  readonly compressor: Compressor;
  /** Lets this vhost answer as if the same client had asked for `location` by GET. */
  readonly redirect: (exchange: Exchange, location: ByteString) => void;
  /** Before a push to a repository; undefined where nobody may. */
  readonly pushGate?: PasswordGate | undefined;
  /** Files in memory, one for the whole worker. */
  readonly fileCache: FileCache;
  /** Opened on first use; absent or undefined where it is not to be had. */
  readonly pageCache?: () => Promise<PageCache | undefined>;
  /** The running protocol of this vhost by name, for callback mounts. */
  readonly protocol: (name: string) => ProtocolHost | undefined;
  /** Refuses the configuration: `key` is relative to the mount, such as "origin". */
  readonly refuse: (key: string, message: string) => void;
};

type Scheme = Origin["scheme"];

/** One kind of mount: one file in worker/mounts/, one line in worker/mounts/table.ts. */
export interface MountType<S extends Scheme> {
  readonly scheme: S;
  provision(context: MountContext<Extract<Origin, { scheme: S }>>): Mount | Promise<Mount>;
}

export type AnyMountType = { [S in Scheme]: MountType<S> }[Scheme];

/** Declares a mount type; checks its shape. */
export function defineMount<S extends Scheme>(type: MountType<S>): MountType<S> {
  return type;
}
