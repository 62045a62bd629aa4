// What a directory holds, as far as it would be served: files and directories, no hidden names, no symlink to the outside.
// Read in the background in small groups, so that a directory of a hundred thousand names holds nobody up.

import type { Dirent } from "node:fs";
import { lstat, opendir } from "node:fs/promises";
import type { Docroot } from "../../docroot.ts";
import { HttpError, type ByteString } from "../../http/exchange.ts";

export type Entry = {
  readonly name: ByteString;
  readonly kind: "file" | "directory";
  /** Bytes. */
  readonly size: number;
  /** Of the last change, ms since the epoch. */
  readonly modified: number;
};

export type Listing = {
  /** Directories first, then by name. */
  readonly entries: readonly Entry[];
  /** False where there is more than MAX_ENTRIES. */
  readonly isComplete: boolean;
};

/** More would make no page that anybody reads. */
export const MAX_ENTRIES = 10_000;
/** Names that are looked at to find them: hidden ones count as well. */
const MAX_NAMES = 200_000;
/** Entries that are looked up at once. */
const GROUP = 64;
/** Different directories of one mount that are read at once. */
const MAX_LISTINGS = 16;

/** Lists directories below a root; whoever asks for one that is being read waits for the same list. Throws HttpError. */
export function createLister(root: Docroot): (rest: ByteString) => Promise<Listing> {
  const running = new Map<ByteString, Promise<Listing>>();
  return (rest) => {
    const begun = running.get(rest);
    if (begun) return begun;
    if (running.size >= MAX_LISTINGS)
      throw new HttpError(503, "Too many directories are being listed", {
        headers: [["Retry-After", "1"]],
      });
    const listing = root
      .visit(rest, (path) => readListing(root, rest, path))
      .finally(() => running.delete(rest));
    running.set(rest, listing);
    return listing;
  };
}

async function readListing(root: Docroot, rest: ByteString, path: ByteString): Promise<Listing> {
  const entries: Entry[] = [];
  let group: Dirent[] = [];
  let names = 0;
  let isComplete = true;
  const lookUp = async (): Promise<void> => {
    const found = await Promise.all(group.map((entry) => describe(root, rest, path, entry)));
    for (const entry of found) if (entry) entries.push(entry);
    group = [];
  };
  // The encoding keeps names that are no UTF-8 what they are.
  const options = { encoding: "latin1", bufferSize: GROUP } as const;
  for await (const entry of await opendir(Buffer.from(path, "latin1").toString("utf8"), options)) {
    names += 1;
    if (entries.length + group.length >= MAX_ENTRIES || names > MAX_NAMES) {
      isComplete = false;
      break;
    }
    if (entry.name.startsWith(".")) continue;
    group.push(entry);
    if (group.length >= GROUP) await lookUp();
  }
  await lookUp();
  return { entries: entries.toSorted(compareEntries), isComplete };
}

async function describe(
  root: Docroot,
  rest: ByteString,
  path: ByteString,
  entry: Dirent,
): Promise<Entry | undefined> {
  const { name } = entry;
  try {
    // A symlink shows what a request for it would get; lstat does not leave the directory.
    const found = entry.isSymbolicLink()
      ? await root.look(`${rest.replace(/\/$/, "")}/${name}`)
      : await lstat(Buffer.from(`${path}/${name}`, "latin1"));
    const isDirectory = found.isDirectory();
    if (!isDirectory && !found.isFile()) return undefined;
    const modified = Number(found.mtimeMs);
    return { name, kind: isDirectory ? "directory" : "file", size: Number(found.size), modified };
  } catch {
    // Gone by now, or not for clients.
    return undefined;
  }
}

function compareEntries(one: Entry, other: Entry): number {
  if (one.kind !== other.kind) return one.kind === "directory" ? -1 : 1;
  return one.name < other.name ? -1 : 1;
}
