// Opens files below a directory and nothing else: whatever the spelling, the symlinks and the moment, what was opened is inside, or it is not served.
// The check looks at the descriptor, not at the name, so a file swapped for a symlink in between gains nothing.

import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  open,
  openSync,
  readlinkSync,
  realpathSync,
  statSync,
} from "node:fs";
import type { BigIntStats } from "node:fs";
import { stat as statFile } from "node:fs/promises";
import { promisify } from "node:util";
import { HttpError, type ByteString } from "./http/exchange.ts";

export type Found =
  | { readonly kind: "file"; readonly fd: number; readonly stat: BigIntStats }
  | { readonly kind: "directory" };

export type Docroot = {
  /** Opens what a decoded path ("" or "/…") names; the caller closes the descriptor of a file. Throws HttpError 403, 404, 500 or 503. */
  open(rest: ByteString): Promise<Found>;
  /** Tells what is there without opening it for reading: a file or a directory. Throws the same. */
  look(rest: ByteString): Promise<BigIntStats>;
  /** Lends a path that leads to this very directory, whatever happens to its name meanwhile. Throws the same, or what `use` throws. */
  visit<T>(rest: ByteString, use: (path: ByteString) => Promise<T>): Promise<T>;
};

/** Which symlinks are followed: those that end inside of the directory, all of them, or none. */
export type Symlinks = "inside" | "anywhere" | "none";

/** How an opened descriptor is traced back to its place: through /proc, or where there is none by the resolved name before it is opened. */
export type Tracing = "descriptor" | "name";

/** Not in node:fs. Opens nothing: a FIFO does not wait, a device does not act, a file needs no permission yet. */
const O_PATH = 0o10000000;
const READ_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

const OUTSIDE = "it is outside of the mount's directory, through a symlink";
const SPECIAL = "it is neither a file nor a directory";

const openAsync = promisify(open);

/** Found out once: it takes two system calls, and a configuration may have ten thousand mounts. */
const NATIVE_TRACING = chooseTracing();

/** Prepares a directory for serving. Throws the errno error where it cannot be used. */
export function createDocroot(
  directory: string,
  symlinks: Symlinks = "inside",
  tracing: Tracing = NATIVE_TRACING,
): Docroot {
  const base = Buffer.from(directory, "utf8").toString("latin1").replace(/\/+$/, "");
  let root = resolveRoot(directory);
  const pin = tracing === "descriptor" ? pinByDescriptor : pinByName;

  function isServed(real: ByteString, rest: ByteString): boolean {
    if (symlinks === "anywhere" || isRight(real, rest)) return true;
    // The directory itself may be a symlink that a deployment has turned to the next release.
    root = resolveRoot(directory);
    return isRight(real, rest);
  }

  function isRight(real: ByteString, rest: ByteString): boolean {
    if (symlinks === "inside") return isBelow(root, real);
    // Without a symlink on the way the real path is the one that was asked for.
    return (
      real === (root === "/" ? "" : root) + rest.replace(/\/+$/, "") ||
      (real === root && /^\/*$/.test(rest))
    );
  }

  async function withPin<T>(rest: ByteString, use: (pinned: Pinned) => T | Promise<T>): Promise<T> {
    try {
      const pinned = await pin(base + rest);
      try {
        if (!isServed(pinned.real, rest)) throw notFound(OUTSIDE);
        if (!pinned.stat.isDirectory() && !pinned.stat.isFile()) throw notFound(SPECIAL);
        return await use(pinned);
      } finally {
        pinned.close();
      }
    } catch (error) {
      throw toHttpError(error);
    }
  }

  return {
    open: (rest) =>
      withPin(rest, (pinned): Found => {
        const { stat } = pinned;
        if (stat.isDirectory()) return { kind: "directory" };
        return { kind: "file", fd: pinned.open(), stat };
      }),
    look: (rest) => withPin(rest, ({ stat }) => stat),
    visit: (rest, use) => withPin(rest, ({ path }) => use(path)),
  };
}

/** Gives the docroot of a directory, or why there is none. Each is prepared once: ten thousand mounts may serve one. */
export type Docroots = (directory: string, symlinks?: Symlinks) => Docroot | string;

export function createDocroots(): Docroots {
  const known = new Map<string, Docroot | string>();
  return (directory, symlinks = "inside") => {
    const key = `${symlinks} ${directory}`;
    const found = known.get(key) ?? prepare(directory, symlinks);
    known.set(key, found);
    return found;
  };
}

function prepare(directory: string, symlinks: Symlinks): Docroot | string {
  try {
    if (!statSync(directory).isDirectory()) return `"${directory}" is not a directory`;
    // What is below can be opened by its name; to be read it has only for a listing.
    accessSync(directory, constants.X_OK);
    return createDocroot(directory, symlinks);
  } catch (error) {
    return `Cannot use the directory "${directory}": ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Something found, and held fast so that nobody can put something else in its place. */
type Pinned = {
  /** Where it really is, without a slash at the end. */
  readonly real: ByteString;
  readonly stat: BigIntStats;
  /** Leads to it again. */
  readonly path: ByteString;
  /** Opens a file for reading. */
  open(): number;
  close(): void;
};

async function pinByDescriptor(path: ByteString): Promise<Pinned> {
  // Only this walk may touch the disk; the calls after it work on an inode that is in memory.
  const fd = await openAsync(Buffer.from(path, "latin1"), O_PATH);
  try {
    const link = `/proc/self/fd/${fd}`;
    return {
      real: readlinkSync(link, "latin1"),
      stat: fstatSync(fd, { bigint: true }),
      path: link,
      open: () => openSync(link, READ_FLAGS),
      close: () => closeSync(fd),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** For systems without /proc, good enough to develop on: a directory on the way could be swapped between two calls. */
async function pinByName(path: ByteString): Promise<Pinned> {
  const real = realpathSync.native(Buffer.from(path, "latin1"), "latin1");
  // realpath forgets the slash that says "a directory".
  const name = Buffer.from(path.endsWith("/") ? `${real}/` : real, "latin1");
  const stat = await statFile(name, { bigint: true });
  return {
    real,
    stat,
    path: real,
    open: () => openSync(name, READ_FLAGS | constants.O_NOFOLLOW),
    close: () => {},
  };
}

function resolveRoot(directory: string): ByteString {
  return realpathSync.native(directory, "latin1");
}

function isBelow(root: ByteString, real: ByteString): boolean {
  return real === root || real.startsWith(root === "/" ? root : `${root}/`);
}

function chooseTracing(): Tracing {
  try {
    const fd = openSync("/", O_PATH);
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === "/" ? "descriptor" : "name";
    } finally {
      closeSync(fd);
    }
  } catch {
    return "name";
  }
}

/** The client learns nothing of the reason; `portico explain` shows it. */
function notFound(cause: string): HttpError {
  return new HttpError(404, "", { cause });
}

function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
    case "ENAMETOOLONG":
    case "ELOOP":
    case "ENXIO":
      return new HttpError(404, "", { cause: error });
    case "EACCES":
    case "EPERM":
      return new HttpError(403, "", { cause: error });
    case "EMFILE":
    case "ENFILE":
    case "ENOMEM":
      return new HttpError(503, "", { cause: error, headers: [["Retry-After", "1"]] });
    default:
      return new HttpError(500, "", { cause: error });
  }
}
