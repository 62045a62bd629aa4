// What a URL stands for at one moment, and the seam between those who find it, decide and send:
//   find    path and request -> Representation, or why there is none        worker/mounts/file/find.ts, or a cache
//   decide  request fields, Representation -> status, fields, which bytes   decide.ts, pure
//   send    Decision, Representation -> the wire                            worker/mounts/file/send.ts, or a front by itself
// One whose bytes are in memory can be kept and answered from again. One with a descriptor is for one request, whose finder closes it.

import type { BigIntStats } from "node:fs";
import type { HeaderPair } from "../../config/vhost.ts";

/** Content codings that are served, the preferred ones first (RFC 9110 8.4.1, RFC 8878). */
export const CODINGS = ["br", "zstd", "gzip"] as const;
export type Coding = (typeof CODINGS)[number];

export type Content =
  | { readonly kind: "memory"; readonly bytes: Uint8Array }
  /** `stat` is of the moment it was opened: what differs later is another version. */
  | { readonly kind: "descriptor"; readonly fd: number; readonly stat: BigIntStats }
  /** Only for requests that get no byte of it: their conditions have settled that. */
  | { readonly kind: "nothing" };

export type Representation = {
  readonly coding: Coding | "identity";
  /** Value of Content-Type; undefined sends none. */
  readonly type: string | undefined;
  /** Quoted and strong: other bytes, another tag; each coding has its own. */
  readonly etag: string;
  /** Seconds since the epoch. */
  readonly lastModified: number;
  /** Bytes, as encoded. */
  readonly size: number;
  /** For 200 and, but for the type of several parts, 206. No Content-Length. */
  readonly fields: readonly HeaderPair[];
  /** For 304: those that a cache updates (RFC 9110 15.4.5). */
  readonly validators: readonly HeaderPair[];
  readonly content: Content;
};
