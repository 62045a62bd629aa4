// The configuration directory that a command works on.

import { existsSync, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

const DEFAULT_DIRECTORIES = ["/etc/portico", "/etc/lwsws"];

/** The configuration directory: the one given, else the first default that exists. */
export function findDirectory(given: string | undefined): string {
  return given ?? DEFAULT_DIRECTORIES.find((directory) => existsSync(directory)) ?? "/etc/portico";
}

/** Why there is nothing to read in a directory, as a sentence; undefined when there may be. */
export function directoryFault(directory: string): string | undefined {
  const advice = `name another one with -c, or make one with "portico init ${directory}"`;
  const code = readFault(directory);
  if (code === "ENOENT")
    return `The configuration directory "${directory}" does not exist; ${advice}`;
  if (code === "ENOTDIR")
    return `"${directory}" is not a directory; -c takes the one that holds "conf"`;
  if (code !== undefined) return `Cannot read the configuration directory "${directory}": ${code}`;
  // A symlink to nothing is there too: the reader tells what is wrong with it.
  if (
    ["conf", "conf.d"].some((name) => lstatSync(join(directory, name), { throwIfNoEntry: false }))
  )
    return undefined;
  return `"${directory}" holds no configuration, neither a file "conf" nor a directory "conf.d"; ${advice}`;
}

function readFault(directory: string): string | undefined {
  try {
    readdirSync(directory);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}
