// Which socket addresses a configuration wants: interfaces resolved to addresses, and specific addresses folded into
// a wildcard on the same port (Linux lets only one of them listen; the worker then chooses by local address).

import { isIP, SocketAddress as Canonical } from "node:net";
import { networkInterfaces, type NetworkInterfaceInfo } from "node:os";
import type { WantedListener } from "../config/listeners.ts";

export type SocketAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string; readonly perms: string | undefined };

export type AddressOverride = { readonly address: string; readonly vhosts: readonly number[] };

/** One socket to bind and the vhosts that answer on it. */
export type AddressPlan = {
  /** The address as configured: names the socket across reloads. With port 0 it is not the real port. */
  readonly key: string;
  readonly address: SocketAddress;
  readonly secure: boolean;
  readonly vhosts: readonly number[];
  readonly overrides: readonly AddressOverride[];
};

export type ResolvedAddresses = {
  readonly plans: readonly AddressPlan[];
  /** Interfaces that do not exist (yet). */
  readonly missing: readonly string[];
  /** The host has no IPv6 and somebody wanted it. */
  readonly lacksIpv6: boolean;
};

type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>;

const WILDCARD = { 4: "0.0.0.0", 6: "::" } as const;

/** Turns what the vhosts ask for into sockets. `interfaces` as os.networkInterfaces() gives them. */
export function resolveAddresses(
  wanted: readonly WantedListener[],
  interfaces: Interfaces = networkInterfaces(),
): ResolvedAddresses {
  const hasIpv6 = Object.values(interfaces).some((list) => list?.some((i) => i.family === "IPv6"));
  const missing: string[] = [];
  const plans: AddressPlan[] = [];
  let lacksIpv6 = false;

  for (const listener of wanted) {
    if (listener.kind === "unix") {
      const { path, perms, secure, vhosts } = listener;
      const address = { kind: "unix", path, perms } as const;
      plans.push({ key: `unix:${path}`, address, secure, vhosts, overrides: [] });
      continue;
    }
    const hosts = hostsOf(listener, interfaces);
    if (hosts.length === 0) missing.push(listener.interface ?? "");
    for (const host of hosts) {
      if (host === WILDCARD[6] && !hasIpv6) {
        lacksIpv6 = true;
        continue;
      }
      const { port, secure, vhosts } = listener;
      // Free ports are shared by all who ask for one, but not by TLS and plain text.
      const key = tcpAddress(host, port) + (port === 0 && secure ? "/tls" : "");
      plans.push({ key, address: { kind: "tcp", host, port }, secure, vhosts, overrides: [] });
    }
  }
  return { plans: foldIntoWildcards(mergeSame(plans)), missing, lacksIpv6 };
}

/** "127.0.0.1:80" or "[::1]:80". */
export function tcpAddress(host: string, port: number): string {
  return isIP(host.split("%")[0] ?? "") === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The one way of many to write an address; the device of a link-local one is left out. */
export function canonicalHost(host: string): string {
  const address = host.split("%")[0] ?? "";
  return isIP(address) === 6 ? new Canonical({ address, family: "ipv6" }).address : address;
}

/** Whether a device of this name, or a device with this address, is there now. */
export function hasInterface(name: string): boolean {
  return (networkInterfaces()[name] ?? []).length > 0;
}

function hostsOf(
  listener: Extract<WantedListener, { kind: "tcp" }>,
  interfaces: Interfaces,
): string[] {
  const name = listener.interface;
  if (name === undefined) return listener.families.map((family) => WILDCARD[family]);
  if (isIP(name) !== 0) return [name];
  return (interfaces[name] ?? [])
    .filter((entry) => listener.families.includes(entry.family === "IPv4" ? 4 : 6))
    .map((entry) =>
      // A link-local address means nothing without its device.
      entry.family === "IPv6" && entry.scopeid ? `${entry.address}%${name}` : entry.address,
    );
}

/** Two ways to name one address ("lo" and "127.0.0.1") share one socket. */
function mergeSame(plans: readonly AddressPlan[]): AddressPlan[] {
  const byKey = new Map<string, AddressPlan>();
  for (const plan of plans) {
    const same = byKey.get(plan.key);
    const vhosts = same
      ? [...new Set([...same.vhosts, ...plan.vhosts])].toSorted((a, b) => a - b)
      : plan.vhosts;
    byKey.set(plan.key, { ...plan, vhosts });
  }
  return [...byKey.values()];
}

function foldIntoWildcards(plans: readonly AddressPlan[]): AddressPlan[] {
  const result: AddressPlan[] = [];
  const overrides = new Map<string, AddressOverride[]>();
  const keys = new Set(plans.map((plan) => plan.key));
  for (const plan of plans) {
    const wildcard = wildcardOf(plan);
    if (wildcard === undefined || !keys.has(wildcard) || plan.address.kind !== "tcp") {
      result.push(plan);
      continue;
    }
    const list = overrides.get(wildcard) ?? [];
    list.push({ address: plan.address.host.split("%")[0] ?? "", vhosts: plan.vhosts });
    overrides.set(wildcard, list);
  }
  return result.map((plan) => ({ ...plan, overrides: overrides.get(plan.key) ?? [] }));
}

function wildcardOf(plan: AddressPlan): string | undefined {
  // Port 0 means a port of its own, so it is never shared with a wildcard.
  if (plan.address.kind !== "tcp" || plan.address.port === 0) return undefined;
  const { host, port } = plan.address;
  const wildcard = host.includes(":") ? WILDCARD[6] : WILDCARD[4];
  return host === wildcard ? undefined : tcpAddress(wildcard, port);
}
