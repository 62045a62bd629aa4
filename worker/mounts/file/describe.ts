// What is told of an open file: entity tag, dates, fields. Every coding of it has a tag of its own.

import type { BigIntStats } from "node:fs";
import type { HeaderPair } from "../../../config/vhost.ts";
import type { Found } from "../../docroot.ts";
import { formatHttpDate } from "../../http/http-date.ts";
import type { Content, Representation } from "../../http/representation.ts";

export type OpenFile = Extract<Found, { kind: "file" }>;

/** What the mount says of a file, however it is encoded. */
export type About = {
  readonly type: string | undefined;
  readonly cacheControl: string;
  /** Names of the request's fields that another answer could depend on. */
  readonly vary: string;
};

/** Describes a file, or the encoded form of one. */
export function describeFile(
  { fd, stat }: OpenFile,
  about: About,
  coding: Representation["coding"] = "identity",
): Representation {
  const content: Content = { kind: "descriptor", fd, stat };
  return build(stat, about, { coding, size: Number(stat.size), content });
}

/** Describes what a file is encoded to here. */
export function describeEncoded(
  { stat }: OpenFile,
  about: About,
  encoded: Pick<Representation, "coding" | "size" | "content">,
): Representation {
  return build(stat, about, encoded);
}

/** Changes with every version of a file: of another one, of another size, or written at another time. */
export function fileIdentity({ ino, size, mtimeNs }: BigIntStats): string {
  return [ino, size, mtimeNs].map((part) => part.toString(36)).join("-");
}

function build(
  stat: BigIntStats,
  { type, cacheControl, vary }: About,
  encoded: Pick<Representation, "coding" | "size" | "content">,
): Representation {
  const { coding } = encoded;
  const isEncoded = coding !== "identity";
  const etag = `"${fileIdentity(stat)}${isEncoded ? `-${coding}` : ""}"`;
  const lastModified = Number(stat.mtimeNs / 1_000_000_000n);
  // A date in the future would make every later answer look older (RFC 9110 8.8.2.1).
  const shown = Math.min(lastModified, Math.floor(Date.now() / 1000));
  const validators: HeaderPair[] = [
    ["ETag", etag],
    ["Last-Modified", formatHttpDate(shown)],
    ["Cache-Control", cacheControl],
  ];
  if (vary !== "") validators.push(["Vary", vary]);
  const fields: HeaderPair[] = [["Accept-Ranges", "bytes"], ...validators];
  if (isEncoded) fields.unshift(["Content-Encoding", coding]);
  if (type !== undefined) fields.unshift(["Content-Type", type]);
  return { ...encoded, type, etag, lastModified, fields, validators };
}
