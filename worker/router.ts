// (listener, host) -> vhost, and path -> mount. Built once from provisioned vhosts; a request costs the same with ten mounts
// as with ten thousand: one look-up per path segment, bounded by the deepest mountpoint.

import { formatSts } from "../config/sts.ts";
import type { HeaderPair } from "../config/vhost.ts";
import { createIdentify } from "./client-address.ts";
import type { VhostErrorPages } from "./error-pages.ts";
import type { ErrorPages } from "./http/error-page.ts";
import type { ByteString } from "./http/exchange.ts";
import { configureFields, type ConfiguredFields, type Layer } from "./http/response-head.ts";
import { Seats } from "./limits.ts";
import type { Arrival, LiveMount, MountMatch, SiteVhost } from "./site-vhost.ts";
import { createFaces } from "./vhost-faces.ts";
import { createNameTable, type NameTable } from "./vhost-names.ts";

export type { Arrival, LiveMount, MountMatch, SiteVhost };

export type SiteVhostParts = Omit<
  SiteVhost,
  "headers" | "identify" | "match" | "refusal" | "seats" | "seenBy"
> & {
  readonly mounts: readonly LiveMount[];
  /** Used where the vhost names none itself. */
  readonly trustedProxies?: readonly string[];
  readonly errorPages?: VhostErrorPages | undefined;
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
  /** The vhost that answers on this connection, as the connection may use it. `host` as Authority.host: lower case, without a port. Unknown names get the first vhost of the listener. */
  vhostFor(connection: Arrival, host: string | undefined): SiteVhost;
  /** The vhost of that name itself, whoever asks. */
  find(listener: string, localAddress: string, host: string | undefined): SiteVhost;
};

const STRICT_TRANSPORT = "Strict-Transport-Security";

/** Puts a vhost together from its provisioned parts. */
export function createSiteVhost(parts: SiteVhostParts): SiteVhost {
  const { mounts, trustedProxies = [], errorPages, ...rest } = parts;
  const { config } = rest;
  const trusted = config["trusted-proxies"] ?? trustedProxies;
  const seats = new Seats(config["max-connections"]);
  const vhost = {
    ...rest,
    headers: withPages(configureFields(config.headers, strictTransport(parts)), errorPages?.of()),
    match: buildMountMatcher(config.headers, mounts, strictTransport(parts), errorPages),
    identify: createIdentify({ trusted, givesIds: config["request-id"] }),
    seats,
  };
  const faces = createFaces(vhost, () => ({
    ...createSiteVhost({ ...parts, secure: false }),
    seats,
  }));
  return Object.assign(vhost, { seenBy: faces });
}

/** The layer above all others: one field over TLS; none in clear, where it must not be sent (RFC 6797 7.2), whoever says it. */
function strictTransport({ config, secure }: Pick<SiteVhost, "config" | "secure">): Layer {
  if (!secure) return { fields: [], withheld: [STRICT_TRANSPORT] };
  return config.sts ? [[STRICT_TRANSPORT, formatSts(config.sts)]] : [];
}

/** Builds the look-up from path to mount: the longest mountpoint on a segment boundary; of two equal ones "exact-match", then the first. */
export function buildMountMatcher(
  vhostHeaders: readonly HeaderPair[],
  mounts: readonly LiveMount[],
  always: Layer = [],
  errorPages?: VhostErrorPages,
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
    const fields =
      config.headers.length === 0
        ? vhostFields
        : configureFields(vhostHeaders, config.headers, always);
    const headers = withPages(fields, errorPages?.of(config));
    const table = config["exact-match"] ? exact : prefixes;
    if (!table.has(key)) table.set(key, { ...live, headers });
    deepest = Math.max(deepest, key.split("/").length - 1);
  }

  const root = prefixes.get("");
  return (path) => {
    const alone = exact.size === 0 ? undefined : exact.get(path === "/" ? "" : path);
    if (alone) return matched(alone, "");
    let end = deepest === 0 ? 0 : segmentEnd(path, deepest);
    while (end > 0) {
      const entry = prefixes.get(path.slice(0, end));
      if (entry) return matched(entry, path.slice(end));
      end = path.lastIndexOf("/", end - 1);
    }
    return root && matched(root, path);
  };
}

/** Written out, because a spread costs each request five times as much. */
function matched(
  { config, mount, guard, tally, headers }: Omit<MountMatch, "rest">,
  rest: ByteString,
): MountMatch {
  return { config, mount, guard, tally, headers, rest };
}

function withPages(fields: ConfiguredFields, pages: ErrorPages | undefined): ConfiguredFields {
  return pages ? { ...fields, pages } : fields;
}

/** Builds the look-up from listener and host to vhost. */
export function createRouter(listeners: readonly ListenerVhosts[]): Router {
  const tables = new Map(listeners.map((entry) => [entry.listener, buildListener(entry)]));
  function find(arrival: Pick<Arrival, "listener" | "localAddress">, host: string | undefined) {
    const { listener } = arrival;
    const table = tables.get(listener);
    if (!table) throw new Error(`No vhosts for the listener "${listener}"`);
    // The local address is asked for only where it matters: it costs a call to the kernel.
    const names = table.byAddress?.get(arrival.localAddress) ?? table.names;
    return (host === undefined ? undefined : names.byHost(host)) ?? names.first;
  }
  return {
    vhostFor: (connection, host) => find(connection, host).seenBy(connection),
    find: (listener, localAddress, host) => find({ listener, localAddress }, host),
  };
}

type Names = { readonly first: SiteVhost; readonly byHost: NameTable<SiteVhost> };
type Table = { readonly names: Names; readonly byAddress: ReadonlyMap<string, Names> | undefined };

function buildListener(entry: ListenerVhosts): Table {
  const overrides = entry.overrides.map(
    ({ address, vhosts }) => [address, buildNames(entry.listener, vhosts)] as const,
  );
  const byAddress = overrides.length === 0 ? undefined : new Map(overrides);
  return { names: buildNames(entry.listener, entry.vhosts), byAddress };
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
