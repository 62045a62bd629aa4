// Opens a directory for somebody who is root, by a path on which others may write: no symlink of theirs is followed. A worker
// that somebody has taken over could else have us make files of its own where it may not write.

import { closeSync, constants, fstatSync, openSync, readlinkSync, type Stats } from "node:fs";

/** Not in node:fs. Opens nothing, not even what a link leads to. */
const O_PATH = 0o10000000;
const FLAGS = O_PATH | constants.O_NOFOLLOW;
/** As the kernel's own limit. */
const MAX_LINKS = 40;
const STICKY = 0o1000;
const WRITABLE_BY_OTHERS = 0o022;

/** Somebody else could lead us anywhere. */
export class DetourError extends Error {
  readonly code = "DETOUR";
}

/** Returns a descriptor that the caller closes; files are made under `/proc/self/fd/…`. Throws DetourError and what open(2) gives. */
export function openTrustedDirectory(path: string): number {
  const ahead = componentsOf(path);
  let links = 0;
  let at = openSync("/", FLAGS);
  try {
    for (let name = ahead.shift(); name !== undefined; name = ahead.shift()) {
      const within = fstatSync(at);
      const next = openSync(`/proc/self/fd/${at}/${name}`, FLAGS);
      const found = fstatSync(next);
      if (!found.isSymbolicLink()) {
        closeSync(at);
        at = next;
        continue;
      }
      closeSync(next);
      if (!isOurs(within, found))
        throw new DetourError(`"${name}" on the way is a link that others could have made`);
      if ((links += 1) > MAX_LINKS) throw new DetourError("there are too many links on the way");
      // Whoever could change it meanwhile is trusted.
      const target = readlinkSync(`/proc/self/fd/${at}/${name}`);
      ahead.unshift(...componentsOf(target));
      if (!target.startsWith("/")) continue;
      closeSync(at);
      at = openSync("/", FLAGS);
    }
    return at;
  } catch (error) {
    closeSync(at);
    throw error;
  }
}

/** Whether only root can have put a link there: as for the kernel's protected_symlinks, where a sticky directory is everybody's. */
function isOurs(directory: Stats, link: Stats): boolean {
  if (directory.uid !== 0) return false;
  if ((directory.mode & WRITABLE_BY_OTHERS) === 0) return true;
  return (directory.mode & STICKY) !== 0 && link.uid === 0;
}

function componentsOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}
