// What is said when a generation serves: addresses, vhosts, mounts and protocols, and the file each comes from.

import type { Origin } from "../config/mount.ts";
import { hidePasswords } from "../config/secret-names.ts";
import type { ServerConfig } from "../config/server.ts";
import type { ListenerSet } from "./listeners.ts";

/** Beyond this many a list is cut: nobody reads it, and a thousand lines at each reload bury the log. */
const MAX_TOLD = 50;

/** One line for each address. */
export function describeListeners(set: ListenerSet, config: ServerConfig): string[] {
  const names = (indexes: readonly number[]): string => {
    const told = indexes.slice(0, MAX_TOLD).map((index) => config.vhosts[index]?.name);
    const rest = indexes.length - told.length;
    return told.join(", ") + (rest > 0 ? ` and ${rest} more` : "");
  };
  return set.listeners.map((listener) => {
    const kind = listener.secure ? "https" : "http";
    const overrides = listener.overrides.map(
      (override) => `; on ${override.address}: ${names(override.vhosts)}`,
    );
    return `Listening on ${listener.bound} (${kind}): ${names(listener.vhosts)}${overrides.join("")}`;
  });
}

/** One line for each vhost. */
export function describeConfig(config: ServerConfig): string[] {
  const rest = config.vhosts.length - MAX_TOLD;
  const lines = config.vhosts.slice(0, MAX_TOLD).map((vhost) => {
    const mounts = vhost.mounts.map(
      (mount) => `${mount.mountpoint} -> ${formatOrigin(mount.origin)}`,
    );
    const protocols = vhost["ws-protocols"].map((protocol) => protocol.name);
    const parts = [`Vhost ${vhost.name} from ${vhost.where.file}`];
    if (mounts.length > 0) parts.push(`mounts ${mounts.join(", ")}`);
    if (protocols.length > 0) parts.push(`protocols ${protocols.join(", ")}`);
    return parts.join("; ");
  });
  return rest > 0 ? [...lines, `And ${rest} more vhosts; "portico dump" tells all`] : lines;
}

/** An origin as the files write it, but for a password in it. */
export function formatOrigin(origin: Origin): string {
  return hidePasswords(writeOrigin(origin));
}

function writeOrigin(origin: Origin): string {
  switch (origin.scheme) {
    case "file":
      return `file://${origin.directory}`;
    case "cgi":
      return `cgi://${origin.program}`;
    case "git":
      return `git://${origin.directory}`;
    case "fcgi":
      return origin.text;
    case "redirect":
      return `>${origin.location}`;
    case "callback":
      return `callback://${origin.protocol}`;
    case "metrics":
    case "health":
      return `${origin.scheme}://`;
  }
}
