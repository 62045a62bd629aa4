// Where a user's servers keep what lives as long as they do: pid files, control sockets, compiled code. Plain JavaScript,
// because the launcher needs it before TypeScript can be read.

import { lstatSync, mkdirSync, realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/**
 * /run/portico for root, the user's own runtime directory otherwise; RUNTIME_DIRECTORY (systemd.exec(5)) wins.
 * @returns {string}
 */
export function runtimeDirectory() {
  const { RUNTIME_DIRECTORY, XDG_RUNTIME_DIR } = process.env;
  if (RUNTIME_DIRECTORY) return RUNTIME_DIRECTORY;
  const uid = process.getuid?.();
  if (uid === 0) return "/run/portico";
  return XDG_RUNTIME_DIR ? join(XDG_RUNTIME_DIR, "portico") : join(tmpdir(), `portico-${uid}`);
}

/**
 * Makes the directory, for its owner only. False when it belongs to somebody else: in /tmp anybody can come first.
 * @param {string} directory
 * @returns {boolean}
 */
export function makePrivateDirectory(directory) {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { uid } = lstatSync(directory);
  return uid === (process.getuid?.() ?? uid) || uid === 0;
}

/**
 * Whether nobody but us and root can put something else in the place of this directory or of one above it, as the owner
 * of /tmp/portico-1000 could with what we make in there. Sticky directories such as /tmp protect what others own.
 * @param {string} directory
 * @returns {boolean}
 */
export function isOutOfReach(directory) {
  const uid = process.getuid?.();
  if (uid === undefined) return true;
  const gid = process.getgid?.();
  for (let path = realpathSync(directory); ; path = dirname(path)) {
    const found = lstatSync(path);
    const isOurs = found.uid === uid || found.uid === 0;
    const isShared =
      (found.mode & OTHERS_WRITE) !== 0 || ((found.mode & GROUP_WRITES) !== 0 && found.gid !== gid);
    if (!isOurs || (isShared && (found.mode & STICKY) === 0)) return false;
    if (path === dirname(path)) return true;
  }
}

const OTHERS_WRITE = 0o002;
const GROUP_WRITES = 0o020;
const STICKY = 0o1000;
