// Where a user's servers keep what lives as long as they do: pid files, control sockets, compiled code. Plain JavaScript,
// because the launcher needs it before TypeScript can be read.

import { lstatSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

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
