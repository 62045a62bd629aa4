// Sockets that a service manager opened before us (sd_listen_fds(3)). The manager keeps its own copies: clients that come
// while we are not there wait for the next start.

import { closeSync } from "node:fs";
import type { Logger } from "../log/logger.ts";
import { openClaim } from "../posix/claim.ts";
import { canonicalHost, tcpAddress } from "./addresses.ts";
import type { OpenSocket } from "./bind.ts";

/** SD_LISTEN_FDS_START */
const FIRST_FD = 3;
/** More than any unit has. */
const MAX_SOCKETS = 4_096;
const VARIABLES = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] as const;

/** A socket that was given to us. */
export type GivenSocket = OpenSocket & {
  /** As addresses of the configuration are named: "0.0.0.0:80", "[::1]:80", "unix:/run/site.sock". */
  readonly key: string;
  /** For people: its address, and its name in the unit where it has one. */
  readonly label: string;
  /** On all addresses of IPv6, and of IPv4 as well. */
  readonly takesBoth: boolean;
};

export type ListenRequest = { readonly fd: number; readonly name: string };

/** Takes the manager's variables out of `environment`, so that no child takes them for its own. Empty without sockets for us. */
export function takeListenRequests(
  environment: NodeJS.ProcessEnv,
  pid = process.pid,
): ListenRequest[] {
  const { LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES = "" } = environment;
  for (const name of VARIABLES) delete environment[name];
  if (LISTEN_PID !== String(pid) || !/^\d+$/.test(LISTEN_FDS ?? "")) return [];
  const names = LISTEN_FDNAMES.split(":");
  return Array.from({ length: Math.min(Number(LISTEN_FDS), MAX_SOCKETS) }, (_, index) => ({
    fd: FIRST_FD + index,
    name: names[index] ?? "",
  }));
}

/** Takes over what `environment` says was given to us. */
export async function takeGivenSockets(
  environment: NodeJS.ProcessEnv,
  log: Logger,
): Promise<GivenSocket[]> {
  const requests = takeListenRequests(environment);
  if (requests.length === 0) return [];
  const claim = await openClaim();
  if (!claim) {
    log.warn("LISTEN_FDS has no effect here: that takes Linux and koffi");
    return [];
  }
  return requests.flatMap(({ fd, name }): GivenSocket[] => {
    const socket = claim(fd);
    const called = name === "" || name === "unknown" ? "" : ` (${name})`;
    if (!socket) {
      log.warn(`Descriptor ${fd}${called} of LISTEN_FDS is no listening stream socket`);
      return [];
    }
    const close = (): void => closeSync(fd);
    if (socket.kind === "unix") {
      const key = `unix:${socket.path}`;
      const label = `"${key}"${called}`;
      return [{ fd, close, key, label, host: undefined, port: 0, takesBoth: false }];
    }
    const host = canonicalHost(socket.host);
    const key = tcpAddress(host, socket.port);
    return [{ ...socket, fd, close, key, label: `"${key}"${called}`, host }];
  });
}
