// From a path to the representation it stands for, or to what a directory is answered with instead. Nothing is decided about the request here.

import { closeSync } from "node:fs";
import { HttpError, type ByteString } from "../../http/exchange.ts";
import { acceptedCodings } from "../../http/negotiate.ts";
import type { Representation } from "../../http/representation.ts";
import { isCompressible, type MediaTypes } from "../../media-types.ts";
import { chooseCoding, type CodingOptions } from "./codings.ts";
import { describeFile } from "./describe.ts";

/** What stands at a path. */
export type Place =
  | { readonly kind: "file"; readonly representation: Representation }
  /** Relative links need the slash. */
  | { readonly kind: "directory without slash" };

export type FileFinder = {
  /** Finds what the decoded path below the mountpoint ("" or "/…") stands for; `release` what it brings. Throws HttpError. */
  find(rest: ByteString, header: (name: string) => string | undefined): Promise<Place>;
};

export type FinderOptions = CodingOptions & {
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
  const { root, index, isRoot, mediaTypes, cacheControl } = options;
  const encodes = options.precompressed || options.compressor !== undefined;
  return {
    async find(rest, header) {
      if (isHidden(rest, isRoot)) throw new HttpError(404, "", { cause: HIDDEN });
      let name = rest;
      let found = await root.open(name);
      if (found.kind === "directory") {
        if (!name.endsWith("/")) return { kind: "directory without slash" };
        name += index;
        found = await root.open(name);
      }
      if (found.kind === "directory") throw new HttpError(404, "", { cause: NO_FILE });
      const type = mediaTypes(name);
      const isNegotiable = encodes && isCompressible(type);
      const about = { type, cacheControl, vary: isNegotiable ? "Accept-Encoding" : "" };
      const accepted = acceptedCodings(isNegotiable ? header("accept-encoding") : undefined);
      const representation =
        accepted.codings.length === 0
          ? describeFile(found, about)
          : await chooseCoding(found, name, about, accepted, header, options);
      return { kind: "file", representation };
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
