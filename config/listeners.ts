// Vhosts -> the set of addresses to listen on, and which vhosts share each. Pure.

import { isIP } from "node:net";
import type { ServerConfig } from "./server.ts";
import type { VhostKeys } from "./vhost.ts";

export type WantedListener =
  | {
      readonly kind: "tcp";
      /** Device or numeric address; undefined for all. */
      readonly interface?: string;
      /** 0 takes any free port. */
      readonly port: number;
      readonly families: readonly (4 | 6)[];
      readonly secure: boolean;
      /** Indexes into ServerConfig.vhosts, in file order; the first one answers for unknown names. */
      readonly vhosts: readonly number[];
    }
  | {
      readonly kind: "unix";
      /** Path of the socket, "@name" for one in the abstract namespace. */
      readonly path: string;
      /** "user:group" */
      readonly perms?: string;
      readonly secure: boolean;
      readonly vhosts: readonly number[];
    };

/** One entry for each address. Vhosts that differ in their families share the family they have in common. */
export function wantedListeners(config: Pick<ServerConfig, "vhosts">): WantedListener[] {
  return listenersOf(config.vhosts);
}

/** The same for vhosts of which nothing but their own keys is known yet. */
export function listenersOf(vhosts: readonly (VhostKeys | undefined)[]): WantedListener[] {
  const sockets = new Map<string, Socket & { readonly vhosts: number[] }>();
  for (const [index, vhost] of vhosts.entries()) {
    for (const socket of vhost ? socketsOf(vhost) : []) {
      const key = `${socket.family} ${socket.address}`;
      const shared = sockets.get(key);
      if (shared) shared.vhosts.push(index);
      else sockets.set(key, { ...socket, vhosts: [index] });
    }
  }
  const listeners = new Map<string, WantedListener>();
  for (const { address, family, vhosts: sharing } of sockets.values()) {
    const first = vhosts[sharing[0] ?? 0];
    if (!first) continue;
    const key = `${address} ${sharing.join()}`;
    const known = listeners.get(key);
    listeners.set(
      key,
      known?.kind === "tcp" && family !== 0
        ? { ...known, families: [...known.families, family] }
        : describe(first, family, sharing),
    );
  }
  return [...listeners.values()];
}

/** The name of a vhost in statistics: "name:port", or "name:path" on a Unix socket. */
export function vhostKey(
  vhost: Pick<VhostKeys, "name" | "port" | "interface" | "unix-socket">,
): string {
  return `${vhost.name}:${vhost["unix-socket"] ? (vhost.interface ?? "") : (vhost.port ?? "")}`;
}

/** What keeps the topics and the store of a protocol on one vhost apart from all others. */
export function protocolScope(vhost: Parameters<typeof vhostKey>[0], protocol: string): string {
  return `${vhostKey(vhost)}/${protocol}`;
}

/** True when the vhost talks TLS. */
export function isSecure(vhost: Pick<VhostKeys, "host-ssl-cert">): boolean {
  return vhost["host-ssl-cert"] !== undefined;
}

/** The families a vhost listens on; none when its keys contradict each other. */
export function familiesOf(vhost: VhostKeys): (4 | 6)[] {
  const bound = addressFamily(vhost);
  const families: (4 | 6)[] = [];
  if (bound !== 6 && vhost.ipv6only !== true) families.push(4);
  if (bound !== 4 && !vhost.noipv6) families.push(6);
  return families;
}

/** 4 or 6 when the vhost is bound to a numeric address, 0 otherwise. */
function addressFamily(vhost: VhostKeys): number {
  return vhost.interface === undefined || vhost["unix-socket"] ? 0 : isIP(vhost.interface);
}

/** One address of one family, 0 for a Unix socket. */
type Socket = { readonly address: string; readonly family: 0 | 4 | 6 };

/** Vhosts with an equal socket share it. Plain and TLS vhosts on "any port" get one each. */
function socketsOf(vhost: VhostKeys): Socket[] {
  if (vhost["unix-socket"])
    return vhost.interface === undefined ? [] : [{ address: `unix ${vhost.interface}`, family: 0 }];
  if (vhost.port === undefined || vhost.port < 0) return [];
  const any = vhost.port === 0 && isSecure(vhost) ? "tls" : "";
  const address = `tcp ${vhost.port}${any} ${vhost.interface ?? ""}`;
  return familiesOf(vhost).map((family) => ({ address, family }));
}

function describe(first: VhostKeys, family: 0 | 4 | 6, vhosts: readonly number[]): WantedListener {
  const secure = isSecure(first);
  const { interface: name, "unix-socket-perms": perms } = first;
  if (family === 0)
    return {
      kind: "unix",
      path: name ?? "",
      ...(perms === undefined ? {} : { perms }),
      secure,
      vhosts,
    };
  const port = first.port ?? 0;
  return {
    kind: "tcp",
    ...(name === undefined ? {} : { interface: name }),
    port,
    families: [family],
    secure,
    vhosts,
  };
}
