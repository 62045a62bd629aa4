// Opens files below a directory and nothing else: whatever the spelling, the symlinks and the moment, what was opened is inside, or it is not served.
// The check looks at the descriptor, not at the name, so a file swapped for a symlink in between gains nothing.

import {
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
import { promisify } from "node:util";
import { HttpError, type ByteString } from "./http/exchange.ts";

export type Found =
  | { readonly kind: "file"; readonly fd: number; readonly stat: BigIntStats }
  | { readonly kind: "directory" };

export type Docroot = {
  /** Opens what a decoded path ("" or "/…") names; the caller closes the descriptor of a file. Throws HttpError 403, 404, 500 or 503. */
  open(rest: ByteString): Promise<Found>;
};

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
export function createDocroot(directory: string, tracing: Tracing = NATIVE_TRACING): Docroot {
  const base = Buffer.from(directory, "utf8").toString("latin1").replace(/\/+$/, "");
  let root = resolveRoot(directory);
  const openFound = tracing === "descriptor" ? openByDescriptor : openByName;

  function isInside(real: ByteString): boolean {
    if (isBelow(root, real)) return true;
    // The directory itself may be a symlink that a deployment has turned to the next release.
    root = resolveRoot(directory);
    return isBelow(root, real);
  }

  return {
    async open(rest) {
      try {
        return await openFound(base + rest, isInside);
      } catch (error) {
        throw toHttpError(error);
      }
    },
  };
}

/** Gives the docroot of a directory, or why there is none. Each is prepared once: ten thousand mounts may serve one. */
export type Docroots = (directory: string) => Docroot | string;

export function createDocroots(): Docroots {
  const known = new Map<string, Docroot | string>();
  return (directory) => {
    const found = known.get(directory) ?? prepare(directory);
    known.set(directory, found);
    return found;
  };
}

function prepare(directory: string): Docroot | string {
  try {
    if (!statSync(directory).isDirectory()) return `"${directory}" is not a directory`;
    return createDocroot(directory);
  } catch (error) {
    return `Cannot use the directory "${directory}": ${error instanceof Error ? error.message : String(error)}`;
  }
}

type IsInside = (real: ByteString) => boolean;

async function openByDescriptor(path: ByteString, isInside: IsInside): Promise<Found> {
  // Only this walk may touch the disk; the calls after it work on an inode that is in memory.
  const pin = await openAsync(Buffer.from(path, "latin1"), O_PATH);
  try {
    const link = `/proc/self/fd/${pin}`;
    const stat = fstatSync(pin, { bigint: true });
    if (!isInside(readlinkSync(link, "latin1"))) throw notFound(OUTSIDE);
    if (stat.isDirectory()) return { kind: "directory" };
    if (!stat.isFile()) throw notFound(SPECIAL);
    return { kind: "file", fd: openSync(link, READ_FLAGS), stat };
  } finally {
    closeSync(pin);
  }
}

/** For systems without /proc, good enough to develop on: a directory on the way could be swapped between the two calls. */
async function openByName(path: ByteString, isInside: IsInside): Promise<Found> {
  const real = realpathSync.native(Buffer.from(path, "latin1"), "latin1");
  if (!isInside(real)) throw notFound(OUTSIDE);
  // realpath forgets the slash that says "a directory".
  const name = path.endsWith("/") ? `${real}/` : real;
  const fd = await openAsync(Buffer.from(name, "latin1"), READ_FLAGS | constants.O_NOFOLLOW);
  const stat = fstatSync(fd, { bigint: true });
  if (stat.isFile()) return { kind: "file", fd, stat };
  closeSync(fd);
  if (stat.isDirectory()) return { kind: "directory" };
  throw notFound(SPECIAL);
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
