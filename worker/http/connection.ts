// Where a connection comes from and where it arrived, in the form that logs, rules and CGI programs see.

import type { Socket } from "node:net";

export type Connection = {
  /** Key of the listener that accepted it, as the router knows it. */
  readonly listener: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly secure: boolean;
};

/** Prefix of an IPv4 address on an IPv6 socket (RFC 4291 2.5.5.2). */
const MAPPED = "::ffff:";

/** Describes an accepted socket. A Unix socket has no addresses: its client is "unix:". */
export function describeConnection(
  socket: Socket,
  listener: string,
  secure: boolean,
): Connection {
  return {
    listener,
    remoteAddress: plainAddress(socket.remoteAddress ?? "unix:"),
    remotePort: socket.remotePort ?? 0,
    localAddress: plainAddress(socket.localAddress ?? "unix:"),
    localPort: socket.localPort ?? 0,
    secure,
  };
}

/** IPv4-mapped addresses as plain IPv4, all others as they are. */
export function plainAddress(address: string): string {
  const tail = address.startsWith(MAPPED) ? address.slice(MAPPED.length) : "";
  return tail.includes(".") ? tail : address;
}
