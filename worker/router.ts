// (listener, host) -> vhost, and path -> mount. Built once from provisioned vhosts; a request costs the same with ten mounts
// as with ten thousand: one look-up per path segment, bounded by the deepest mountpoint.

import type { MountConfig } from "../config/mount.ts";
import type { HeaderPair, VhostConfig } from "../config/vhost.ts";
import type { VhostCounters } from "../ipc/stats.ts";
import type { Guard } from "./access/guard.ts";
import type { AccessLog } from "./access-log.ts";
import { createIdentify, type Identify } from "./client-address.ts";
import type { ByteString } from "./http/exchange.ts";
import { configureFields, type ConfiguredFields } from "./http/response-head.ts";
import { Seats } from "./limits.ts";
import type { Mount } from "./mount.ts";
import type { ProtocolHost } from "./protocol-host.ts";
import { createNameTable, type NameTable } from "./vhost-names.ts";

/** A provisioned mount and the keys it came from. */
export type LiveMount = {
  readonly config: MountConfig;
  readonly mount: Mount;
  /** Must let a request in before the mount, or anything that was kept of its answers, is asked. Knows the rules of the vhost too. */
  readonly guard?: Guard | undefined;
};

export type MountMatch = LiveMount & {
  /** What follows the mountpoint: "" or "/…". */
  readonly rest: ByteString;
  /** Configured fields of vhost and mount, combined. */
  readonly headers: ConfiguredFields;
};

export type SiteVhost = {
  readonly config: VhostConfig;
  /** "name:port", as counters are kept under. */
  readonly key: string;
  readonly secure: boolean;
  readonly counters: VhostCounters;
  readonly accessLog: AccessLog | undefined;
  readonly protocols: ReadonlyMap<string, ProtocolHost>;
  /** Before requests that match no mount. */
  readonly guard?: Guard | undefined;
  /** Configured fields for answers that no mount gives. */
  readonly headers: ConfiguredFields;
  /** Finds the client of a request and names the request; undefined where the connection tells everything. */
  readonly identify: Identify | undefined;
  /** For each connection one, from its first request here until it closes or asks for another vhost. */
  readonly seats: Seats;
  match(path: ByteString): MountMatch | undefined;
};

export type SiteVhostParts = Omit<SiteVhost, "headers" | "match" | "identify" | "seats"> & {
  readonly mounts: readonly LiveMount[];
  /** Used where the vhost names none itself. */
  readonly trustedProxies?: readonly string[];
};

export type ListenerVhosts = {
  readonly listener: string;
  /** The first is the default. */
  readonly vhosts: readonly SiteVhost[];
  /** Several addresses behind one wildcard socket: the connection's local address chooses. */
  readonly overrides: readonly {
    readonly address: string;
    readonly vhosts: readonly SiteVhost[];
  }[];
};

export type Router = {
  /** `host` as Authority.host: lower case, without a port. Unknown names get the first vhost of the listener. */
  vhostFor(listener: string, localAddress: string, host: string | undefined): SiteVhost;
};

/** Half a year; what lwsws sends, in RFC 6797 spelling. */
const STRICT_TRANSPORT: HeaderPair = [
  "Strict-Transport-Security",
  "max-age=15768000; includeSubDomains",
];

/** Puts a vhost together from its provisioned parts. */
export function createSiteVhost(parts: SiteVhostParts): SiteVhost {
  const { mounts, trustedProxies = [], ...vhost } = parts;
  const { config } = vhost;
  // Over plain HTTP the field must not be sent (RFC 6797 7.2).
  const always = config.sts && vhost.secure ? [STRICT_TRANSPORT] : [];
  const trusted = config["trusted-proxies"] ?? trustedProxies;
  return {
    ...vhost,
    headers: configureFields(config.headers, always),
    match: buildMountMatcher(config.headers, mounts, always),
    identify: createIdentify({ trusted, givesIds: config["request-id"] }),
    seats: new Seats(config["max-connections"]),
  };
}

/** Builds the look-up from path to mount: the longest mountpoint on a segment boundary; of two equal ones "exact-match", then the first. */
export function buildMountMatcher(
  vhostHeaders: readonly HeaderPair[],
  mounts: readonly LiveMount[],
  always: readonly HeaderPair[] = [],
): SiteVhost["match"] {
  type Entry = LiveMount & { readonly headers: ConfiguredFields };
  const exact = new Map<ByteString, Entry>();
  const prefixes = new Map<ByteString, Entry>();
  const vhostFields = configureFields(vhostHeaders, always);
  let deepest = 0;
  for (const live of mounts) {
    const { config } = live;
    // Paths are bytes, mountpoints are text.
    const mountpoint = Buffer.from(config.mountpoint, "utf8").toString("latin1");
    const key = mountpoint === "/" ? "" : mountpoint;
    const headers =
      config.headers.length === 0
        ? vhostFields
        : configureFields(vhostHeaders, config.headers, always);
    const table = config["exact-match"] ? exact : prefixes;
    if (!table.has(key)) table.set(key, { ...live, headers });
    deepest = Math.max(deepest, key.split("/").length - 1);
  }

  return (path) => {
    const alone = exact.get(path === "/" ? "" : path);
    if (alone) return { ...alone, rest: "" };
    let end = segmentEnd(path, deepest);
    while (end > 0) {
      const entry = prefixes.get(path.slice(0, end));
      if (entry) return { ...entry, rest: path.slice(end) };
      end = path.lastIndexOf("/", end - 1);
    }
    const root = prefixes.get("");
    return root && { ...root, rest: path };
  };
}

/** Builds the look-up from listener and host to vhost. */
export function createRouter(listeners: readonly ListenerVhosts[]): Router {
  const tables = new Map(listeners.map((entry) => [entry.listener, buildListener(entry)]));
  return {
    vhostFor(listener, localAddress, host) {
      const table = tables.get(listener);
      if (!table) throw new Error(`No vhosts for the listener "${listener}"`);
      const names = table.byAddress.get(localAddress) ?? table.names;
      return (host === undefined ? undefined : names.byHost(host)) ?? names.first;
    },
  };
}

type Names = { readonly first: SiteVhost; readonly byHost: NameTable<SiteVhost> };
type Table = { readonly names: Names; readonly byAddress: ReadonlyMap<string, Names> };

function buildListener(entry: ListenerVhosts): Table {
  const overrides = entry.overrides.map(
    ({ address, vhosts }) => [address, buildNames(entry.listener, vhosts)] as const,
  );
  return { names: buildNames(entry.listener, entry.vhosts), byAddress: new Map(overrides) };
}

function buildNames(listener: string, vhosts: readonly SiteVhost[]): Names {
  const [first] = vhosts;
  if (!first) throw new Error(`The listener "${listener}" has no vhost`);
  return { first, byHost: createNameTable(vhosts.map((vhost) => [vhost.config.name, vhost])) };
}

/** Where the n-th segment of an absolute path ends, or the whole path where it has fewer. */
function segmentEnd(path: ByteString, segments: number): number {
  let end = 0;
  for (let count = 0; count < segments; count += 1) {
    const next = path.indexOf("/", end + 1);
    if (next === -1) return path.length;
    end = next;
  }
  return end;
}
