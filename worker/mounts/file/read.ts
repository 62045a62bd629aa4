// Reads the bytes of a representation, and notices when a file turns into another version of itself under the reader's hands.
// No reader gets bytes of two versions under one entity tag, and never more bytes than were announced.

import { fstatSync, read, readSync } from "node:fs";
import type { BigIntStats } from "node:fs";
import { promisify } from "node:util";
import type { Piece } from "../../http/range.ts";
import type { Content } from "../../http/representation.ts";

/** What is read and sent at once. A transfer holds one piece, whatever the size of its file. */
export const PIECE_BYTES = 64 * 1024;
/** The same where it is in memory: for each piece there is work that is the same for any size. */
const CACHED_PIECE_BYTES = 128 * 1024;
/** The same where a client is waited for and most of the file goes past this process. */
const SMALL_PIECE_BYTES = 16 * 1024;

/** Of the end of a piece: what a file that grows is known by. */
const REMEMBERED_BYTES = 16 * 1024;

/** The file is not what it was when it was opened. */
export class FileChanged extends Error {
  readonly code = "FILE_CHANGED";
  constructor() {
    super("The file changed while it was read");
  }
}

const readAsync = promisify(read);

export type OpenFile = Extract<Content, { kind: "descriptor" }>;

/** All pieces in one buffer. Throws FileChanged. */
export async function readWhole(
  content: Content,
  pieces: readonly Piece[],
  length: number,
): Promise<Uint8Array> {
  const [only] = pieces;
  if (content.kind === "memory" && pieces.length === 1 && only && !Buffer.isBuffer(only))
    return content.bytes.subarray(only.start, only.end);
  const body = Buffer.allocUnsafe(length);
  let filled = 0;
  for (const piece of pieces) {
    if (Buffer.isBuffer(piece)) filled += piece.copy(body, filled);
    else {
      const { start, end } = piece;
      const target = body.subarray(filled, filled + end - start);
      await readInto(content, target, start);
      filled += target.length;
    }
  }
  if (content.kind === "descriptor" && !isSame(look(content), content.stat))
    throw new FileChanged();
  return body;
}

/** Ways around a thread and around this process, for a file whose pages are in memory. */
export type Shortcuts = {
  /** Whether the byte at `at` is in the page cache. */
  isCached(at: number): boolean;
  /** Whether bytes can be sent without being read here. */
  readonly canPass: boolean;
  /** Sends so up to `most` bytes; returns how many. */
  pass(at: number, most: number): Promise<number>;
};

/**
 * The pieces one after the other, none larger than CACHED_PIECE_BYTES but for literal ones; the next is asked for when the one before
 * has been taken. What is passed in between is left out. Throws FileChanged, the first time before anything came.
 */
export async function* readPieces(
  content: Content,
  pieces: readonly Piece[],
  shortcuts?: Shortcuts,
): AsyncGenerator<Uint8Array> {
  const version = content.kind === "descriptor" ? watchVersion(content) : undefined;
  for (const piece of pieces) {
    if (Buffer.isBuffer(piece)) {
      yield piece;
      continue;
    }
    // The same for all pieces: new ones each time would keep the collector busy.
    let buffer: Buffer | undefined;
    for (let at = piece.start; at < piece.end;) {
      const begins = shortcuts?.isCached(at) ?? false;
      // The first is small in any case: the client has it sooner.
      const isSmall = at === piece.start || (begins && shortcuts?.canPass);
      const most = isSmall ? SMALL_PIECE_BYTES : begins ? CACHED_PIECE_BYTES : PIECE_BYTES;
      const length = Math.min(most, piece.end - at);
      const isCached = begins && shortcuts?.isCached(at + length - 1);
      if (!buffer || buffer.length < length) buffer = Buffer.allocUnsafeSlow(length);
      const bytes = buffer.subarray(0, length);
      // To wait for a thread costs more than to copy a few pages that are in memory.
      if (isCached && content.kind === "descriptor") readCached(content.fd, bytes, at);
      else await readInto(content, bytes, at);
      await version?.check();
      version?.remember(bytes, at);
      yield bytes;
      at += bytes.length;
      // The last bytes are always read: they leave only after the file was found to be the same to its end.
      const rest = piece.end - at - SMALL_PIECE_BYTES;
      if (!shortcuts?.canPass || rest <= 0) continue;
      await version?.check();
      at += await shortcuts.pass(at, rest);
    }
  }
}

type Version = {
  /** Throws FileChanged. */
  check(): Promise<void>;
  /** This piece is of the version in hand. */
  remember(bytes: Buffer, at: number): void;
};

/**
 * To be checked after a piece was read. A file that only grows is a log that somebody downloads: its beginning stays what it
 * was announced as. Whether it only grew is told by the piece before, which must still read the same.
 */
function watchVersion(file: OpenFile): Version {
  let seen = file.stat;
  let before: { readonly bytes: Buffer; length: number; at: number } | undefined;
  return {
    async check() {
      const now = look(file);
      if (isSame(now, seen)) return;
      if (now.size <= seen.size || !before) throw new FileChanged();
      const again = Buffer.allocUnsafe(before.length);
      await readInto(file, again, before.at);
      if (!again.equals(before.bytes.subarray(0, before.length))) throw new FileChanged();
      seen = now;
    },
    remember(bytes, at) {
      const from = Math.max(0, bytes.length - REMEMBERED_BYTES);
      before ??= { bytes: Buffer.allocUnsafeSlow(REMEMBERED_BYTES), length: 0, at: 0 };
      before.length = bytes.copy(before.bytes, 0, from);
      before.at = at + from;
    },
  };
}

function look({ fd }: OpenFile): BigIntStats {
  // The inode of an open file is in memory: no disk is waited for.
  return fstatSync(fd, { bigint: true });
}

/** Not the time of the inode's last change, which a file gets that is replaced by another: its bytes stay. */
function isSame(now: BigIntStats, then: BigIntStats): boolean {
  return now.mtimeNs === then.mtimeNs && now.size === then.size;
}

/** Throws FileChanged where the file has become too short. */
function readCached(fd: number, target: Buffer, from: number): void {
  for (let filled = 0; filled < target.length;) {
    const count = readSync(fd, target, filled, target.length - filled, from + filled);
    if (count === 0) throw new FileChanged();
    filled += count;
  }
}

async function readInto(content: Content, target: Buffer, from: number): Promise<void> {
  if (content.kind === "nothing") throw new Error("No byte of this answer was meant to be sent");
  if (content.kind === "memory") {
    target.set(content.bytes.subarray(from, from + target.length));
    return;
  }
  for (let filled = 0; filled < target.length;) {
    const left = target.length - filled;
    const { bytesRead } = await readAsync(content.fd, target, filled, left, from + filled);
    if (bytesRead === 0) throw new FileChanged();
    filled += bytesRead;
  }
}
