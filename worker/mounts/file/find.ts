// From a path to the representation it stands for, or to what a directory is answered with instead. Nothing is decided about the request here.

import { closeSync } from "node:fs";
import { HttpError, type ByteString } from "../../http/exchange.ts";
import { acceptedCodings, preferredType } from "../../http/negotiate.ts";
import type { Representation } from "../../http/representation.ts";
import { isCompressible, type MediaTypes } from "../../media-types.ts";
import { chooseCoding, type CodingOptions } from "./codings.ts";
import { describeFile, type OpenFile } from "./describe.ts";

/** What stands at a path. */
export type Place =
  | { readonly kind: "file"; readonly representation: Representation }
  /** Relative links need the slash. */
  | { readonly kind: "directory without slash" }
  /** A directory that has no file of its own to answer with, and may be listed. */
  | { readonly kind: "directory" };

/** A field of the request by lower-case name. */
type Header = (name: string) => string | undefined;

export type FileFinder = {
  /** Finds what the decoded path below the mountpoint ("" or "/…") stands for; `release` what it brings. Throws HttpError. */
  find(rest: ByteString, header: Header): Promise<Place>;
};

export type FinderOptions = CodingOptions & {
  readonly mediaTypes: MediaTypes;
  /** File served for a directory. */
  readonly index: ByteString;
  /** Page for what is not there, "/…" below the directory. */
  readonly fallback: ByteString | undefined;
  readonly listsDirectories: boolean;
  /** "/.well-known/" is only known at the root of a host (RFC 8615). */
  readonly isRoot: boolean;
  readonly cacheControl: string;
};

/** Causes are for `portico explain`; the client learns nothing of them. */
const HIDDEN = "names that start with a dot are not served";
const NO_FILE = "its default file is a directory";

/** Prepares the look-up of one mount. */
export function createFinder(options: FinderOptions): FileFinder {
  const { root, index, isRoot, mediaTypes, cacheControl, fallback } = options;
  const encodes = options.precompressed || options.compressor !== undefined;

  /** The file, or what is special about the directory. */
  async function open(name: ByteString): Promise<Opened | Place> {
    const found = await root.open(name);
    if (found.kind === "file") return { file: found, name };
    if (!name.endsWith("/")) return { kind: "directory without slash" };
    try {
      const inside = await root.open(name + index);
      if (inside.kind === "file") return { file: inside, name: name + index };
      if (!options.listsDirectories) throw new HttpError(404, "", { cause: NO_FILE });
    } catch (error) {
      if (!options.listsDirectories || !isMissing(error)) throw error;
    }
    return { kind: "directory" };
  }

  async function represent(
    { file, name }: Opened,
    header: Header,
    vary: readonly string[],
  ): Promise<Representation> {
    const type = mediaTypes(name);
    const isNegotiable = encodes && isCompressible(type);
    const all = isNegotiable ? ["Accept-Encoding", ...vary] : vary;
    const about = { type, cacheControl, vary: all.join(", ") };
    const accepted = acceptedCodings(isNegotiable ? header("accept-encoding") : undefined);
    return accepted.codings.length === 0
      ? describeFile(file, about)
      : chooseCoding(file, name, about, accepted, header, options);
  }

  return {
    async find(rest, header) {
      if (isHidden(rest, isRoot)) throw new HttpError(404, "", { cause: HIDDEN });
      let opened: Opened | Place;
      let vary: readonly string[] = [];
      try {
        opened = await open(rest);
      } catch (error) {
        if (fallback === undefined || !isMissing(error) || !wantsPage(rest, header("accept")))
          throw error;
        opened = await open(fallback);
        vary = ["Accept"];
      }
      if ("kind" in opened) return opened;
      return { kind: "file", representation: await represent(opened, header, vary) };
    },
  };
}

type Opened = { readonly file: OpenFile; readonly name: ByteString };

/** Nothing is there; unlike what is there and not for clients. */
function isMissing(error: unknown): boolean {
  if (!(error instanceof HttpError) || error.status !== 404) return false;
  const { cause } = error;
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  return code === "ENOENT" || code === "ENOTDIR" || cause === NO_FILE;
}

/**
 * Whether somebody wants to see a page here. Scripts and pictures that are missing are asked for with "*" too: a name with a
 * suffix gets a page only when HTML is asked for by name, as browsers do for what they show.
 */
function wantsPage(rest: ByteString, accept: string | undefined): boolean {
  const hasSuffix = rest.includes(".", rest.lastIndexOf("/") + 1);
  const isNamed = accept !== undefined && /(?:^|,)[ \t]*text\/html/i.test(accept);
  if (hasSuffix && !isNamed) return false;
  return preferredType(accept, ["text/html"]) !== undefined;
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
