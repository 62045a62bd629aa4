// Addresses as everything here writes them, and which of them belong to a list of networks.

import { BlockList, isIP } from "node:net";
import { UNIX_CLIENTS } from "../config/networks.ts";

export type Networks = {
  /** `address` as Connection.remoteAddress: plain IPv4, IPv6, or "unix:". */
  has(address: string): boolean;
};

/** Takes entries that the configuration has checked. */
export function createNetworks(entries: readonly string[]): Networks {
  const list = new BlockList();
  for (const entry of entries) {
    if (entry === UNIX_CLIENTS) continue;
    const [address = "", bits] = entry.split("/");
    const family = familyOf(address);
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  const hasUnix = entries.includes(UNIX_CLIENTS);
  return {
    has(address) {
      if (isIP(address) === 0) return hasUnix && address === UNIX_CLIENTS;
      return list.check(address, familyOf(address));
    },
  };
}

/** An IPv4 client looks the same on an IPv6 socket (RFC 4291 2.5.5.2); a client of a Unix socket has no address. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return UNIX_CLIENTS;
  // Most are what they are to be.
  if (!address.startsWith(":")) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  return mapped?.[1] ?? address;
}

/** What is counted as one client: an IPv4 address, or the /64 that one IPv6 client has at least to itself. */
export function addressKey(address: string): string {
  if (!address.includes(":") || isIP(address) !== 6) return address;
  const [head = "", tail] = address.split("::");
  const before = head === "" ? [] : head.split(":");
  const behind = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeroes = tail === undefined ? 0 : Math.max(0, 8 - before.length - behind.length);
  const groups = [...before, ...Array.from({ length: zeroes }, () => "0"), ...behind];
  return `${groups.slice(0, 4).join(":")}::/64`;
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return address.includes(":") ? "ipv6" : "ipv4";
}
