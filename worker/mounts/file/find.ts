// From a path to the representation it stands for, or to what a directory is answered with instead. Nothing is decided about the request here.

import { closeSync } from "node:fs";
import type { BigIntStats } from "node:fs";
import type { HeaderPair } from "../../../config/vhost.ts";
import type { Docroot, Found } from "../../docroot.ts";
import { HttpError, type ByteString } from "../../http/exchange.ts";
import { formatHttpDate } from "../../http/http-date.ts";
import type { Representation } from "../../http/representation.ts";
import type { MediaTypes } from "../../media-types.ts";

/** What stands at a path. */
export type Place =
  | { readonly kind: "file"; readonly representation: Representation }
  /** Relative links need the slash. */
  | { readonly kind: "directory without slash" };

export type FileFinder = {
  /** Finds what the decoded path below the mountpoint ("" or "/…") stands for; `release` what it brings. Throws HttpError. */
  find(rest: ByteString): Promise<Place>;
};

export type FinderOptions = {
  readonly root: Docroot;
  readonly mediaTypes: MediaTypes;
  /** File served for a directory. */
  readonly index: ByteString;
  /** "/.well-known/" is only known at the root of a host (RFC 8615). */
  readonly isRoot: boolean;
  readonly cacheControl: string;
};

/** Causes are for `portico explain`; the client learns nothing of them. */
const HIDDEN = "names that start with a dot are not served";
const NO_FILE = "its default file is a directory";

/** Prepares the look-up of one mount. */
export function createFinder(options: FinderOptions): FileFinder {
  const { root, index, isRoot } = options;
  return {
    async find(rest) {
      if (isHidden(rest, isRoot)) throw new HttpError(404, "", { cause: HIDDEN });
      let name = rest;
      let found = await root.open(name);
      if (found.kind === "directory") {
        if (!name.endsWith("/")) return { kind: "directory without slash" };
        name += index;
        found = await root.open(name);
      }
      if (found.kind === "directory") throw new HttpError(404, "", { cause: NO_FILE });
      return { kind: "file", representation: describe(found, name, options) };
    },
  };
}

/** Closes what a representation holds open. */
export function release({ content }: Representation): void {
  // The inode is in memory and was only read from: this does not touch the disk.
  if (content.kind === "descriptor") closeSync(content.fd);
}

/** Names with a leading dot are nobody's business (".git", ".env", ".htaccess"), but for /.well-known/ (RFC 8615). */
function isHidden(rest: ByteString, isRoot: boolean): boolean {
  const from = isRoot && rest.startsWith("/.well-known/") ? "/.well-known".length : 0;
  return rest.includes("/.", from);
}

type OpenFile = Extract<Found, { kind: "file" }>;

function describe(
  { fd, stat }: OpenFile,
  name: ByteString,
  { mediaTypes, cacheControl }: FinderOptions,
): Representation {
  const etag = `"${fileIdentity(stat)}"`;
  const lastModified = Number(stat.mtimeNs / 1_000_000_000n);
  // A date in the future would make every later answer look older (RFC 9110 8.8.2.1).
  const shown = Math.min(lastModified, Math.floor(Date.now() / 1000));
  const validators: HeaderPair[] = [
    ["ETag", etag],
    ["Last-Modified", formatHttpDate(shown)],
    ["Cache-Control", cacheControl],
  ];
  const type = mediaTypes(name);
  const about: HeaderPair[] = type === undefined ? [] : [["Content-Type", type]];
  return {
    coding: "identity",
    type,
    etag,
    lastModified,
    size: Number(stat.size),
    fields: [...about, ["Accept-Ranges", "bytes"], ...validators],
    validators,
    content: { kind: "descriptor", fd, stat },
  };
}

/** Changes with every version of a file: of another one, of another size, or written at another time. */
function fileIdentity({ ino, size, mtimeNs }: BigIntStats): string {
  return [ino, size, mtimeNs].map((part) => part.toString(36)).join("-");
}
