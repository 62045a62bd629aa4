// Which Node to run: this one if it is new enough, else the one that `npm ci` brought. Plain JavaScript on purpose: an old
// Node must get as far as a helpful sentence.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const WANTED_MAJOR = 26;

/** Packages that hold a Node, by platform; npm installs the one that fits. Not every npm links it into .bin. */
const PACKAGES = [
  `node-${process.platform}-${process.arch}`,
  `node-bin-${process.platform}-${process.arch}`,
];

/**
 * Path of a Node that can run Portico. Without one it says what to do, and returns undefined.
 * @returns {string | undefined}
 */
export function findNode() {
  if (Number(process.versions.node.split(".")[0]) >= WANTED_MAJOR) return process.execPath;
  const found = PACKAGES.map((name) =>
    fileURLToPath(new URL(`../node_modules/${name}/bin/node`, import.meta.url)),
  ).find((path) => existsSync(path));
  if (found === undefined)
    console.error(
      `portico needs Node ${WANTED_MAJOR} or newer and runs under ${process.version} here. ` +
        `Install it, or run "npm ci" in ${fileURLToPath(new URL("..", import.meta.url))}, which brings one where there is one for this platform.`,
    );
  return found;
}
