// Virtual hosts, their mounts, programs and certificates, and the addresses they are reached at.

import type { Board, Certificate, Listener, Mount, Programs, Vhost } from "./board.ts";
import { fault, number, recentColumns, sentColumn, size } from "./columns.tsx";
import { bytes, duration, isoDay, micros, UNKNOWN } from "./format.ts";
import type { Recent } from "./recent.ts";
import { Table, type Column } from "./table.tsx";
import type { View } from "./view.ts";

const HIDDEN = "The configuration keeps them off this page (“hide-vhosts”).";
/** A certificate that is older should have been renewed. */
export const SOON_DAYS = 14;

type Props = { readonly view: View; readonly board: Board };

type VhostRow = { readonly vhost: Vhost; readonly recent: Recent };

export function Vhosts({ view, board }: Props) {
  const items = board.vhosts.map((vhost, index): VhostRow => ({
    vhost,
    recent: view.recent.vhost(index),
  }));
  return (
    <Table
      view={view}
      id="vhosts"
      title="Virtual hosts"
      columns={vhostColumns}
      items={items}
      keyOf={({ vhost }) => vhost.key}
      empty={HIDDEN}
    />
  );
}

type MountRow = { readonly vhost: Vhost; readonly mount: Mount; readonly recent: Recent };

export function Mounts({ view, board: { vhosts } }: Props) {
  const items = vhosts.flatMap((vhost, place) =>
    vhost.mounts.map((mount, index): MountRow => ({
      vhost,
      mount,
      recent: view.recent.mount(place, index),
    })),
  );
  return (
    <Table
      view={view}
      id="mounts"
      title="Mounts"
      columns={mountColumns}
      items={items}
      keyOf={({ vhost, mount }) => `${vhost.key} ${mount.mountpoint}`}
      empty={vhosts.length === 0 ? HIDDEN : "None."}
    />
  );
}

type ProgramRow = { readonly vhost: Vhost; readonly mount: Mount; readonly cgi: Programs };

/** Mounts that start programs; not there before one of them did. */
export function ProgramMounts({ view, board: { vhosts } }: Props) {
  const items = vhosts.flatMap((vhost) =>
    vhost.mounts.flatMap((mount) => (mount.cgi ? [{ vhost, mount, cgi: mount.cgi }] : [])),
  );
  if (items.length === 0) return null;
  return (
    <Table
      view={view}
      id="programs"
      title="Programs"
      columns={programColumns}
      items={items}
      keyOf={({ vhost, mount }) => `${vhost.key} ${mount.mountpoint}`}
      empty="None."
    />
  );
}

type CountRow = {
  readonly vhost: Vhost;
  readonly protocol: string;
  readonly name: string;
  readonly count: number;
};

/** What protocols count themselves; not there before one of them did. */
export function ProtocolCounts({ view, board: { vhosts } }: Props) {
  const items = vhosts.flatMap((vhost) =>
    Object.entries(vhost.protocolCounts ?? {}).flatMap(([protocol, counters]) =>
      Object.entries(counters).map(([name, count]): CountRow => ({ vhost, protocol, name, count })),
    ),
  );
  if (items.length === 0) return null;
  return (
    <Table
      view={view}
      id="protocols"
      title="Counted by protocols"
      columns={countColumns}
      items={items}
      keyOf={({ vhost, protocol, name }) => `${vhost.key} ${protocol} ${name}`}
      empty="None."
    />
  );
}

type CertificateRow = { readonly vhost: Vhost; readonly certificate: Certificate };

/** Not there without TLS. */
export function Certificates({ view, board: { vhosts } }: Props) {
  const items = vhosts.flatMap((vhost) =>
    vhost.certificate ? [{ vhost, certificate: vhost.certificate }] : [],
  );
  if (items.length === 0) return null;
  return (
    <Table
      view={view}
      id="certificates"
      title="Certificates"
      columns={certificateColumns}
      items={items}
      keyOf={({ vhost }) => vhost.key}
      empty="None."
    />
  );
}

export function Listeners({ view, board }: Props) {
  return (
    <Table
      view={view}
      id="listeners"
      title="Addresses"
      columns={listenerColumns}
      items={board.listeners}
      keyOf={({ address }) => address}
      empty="None."
    />
  );
}

const vhostColumns: readonly Column<VhostRow>[] = [
  {
    title: "Host",
    text: ({ vhost }) => nameAndPort(vhost),
    note: ({ vhost }) => [...(vhost.secure ? ["https"] : []), ...vhost.protocols].join(", "),
  },
  ...recentColumns<VhostRow>("p50", "p99"),
  sentColumn(),
  number("Requests", ({ vhost }) => vhost.counters.requests),
  number("2xx", ({ vhost }) => vhost.counters.status2xx),
  number("3xx", ({ vhost }) => vhost.counters.status3xx),
  number("4xx", ({ vhost }) => vhost.counters.status4xx),
  fault("5xx", ({ vhost }) => vhost.counters.status5xx),
  number("Rejected", ({ vhost }) => vhost.counters.rejected, undefined, {
    hint: "Malformed or too large, and upgrades that were not granted",
  }),
  number("Aborted", ({ vhost }) => vhost.counters.aborted, undefined, {
    hint: "Answers cut before their end",
  }),
  number("Connections", ({ vhost }) => vhost.counters.connections),
  number("Upgrades", ({ vhost }) => vhost.counters.upgrades, undefined, {
    hint: "WebSockets opened",
  }),
  size("Received", ({ vhost }) => vhost.counters.rx),
  size("Sent", ({ vhost }) => vhost.counters.tx),
];

const mountColumns: readonly Column<MountRow>[] = [
  {
    title: "Mount",
    text: ({ mount }) => mount.mountpoint,
    note: ({ vhost }) => nameAndPort(vhost),
  },
  { title: "Origin", text: ({ mount }) => mount.origin, isPath: true },
  ...recentColumns<MountRow>("p50", "p99"),
  number("Requests", ({ mount }) => mount.counters?.requests ?? 0),
  number("2xx", ({ mount }) => mount.counters?.status2xx ?? 0),
  number("3xx", ({ mount }) => mount.counters?.status3xx ?? 0),
  number("4xx", ({ mount }) => mount.counters?.status4xx ?? 0),
  fault("5xx", ({ mount }) => mount.counters?.status5xx ?? 0),
  number("Aborted", ({ mount }) => mount.counters?.aborted ?? 0),
  size("Sent", ({ mount }) => mount.counters?.tx ?? 0),
  { title: "Default", text: ({ mount }) => mount.default || UNKNOWN },
  { title: "Cache", text: ({ mount }) => cachePolicy(mount) },
];

const programColumns: readonly Column<ProgramRow>[] = [
  {
    title: "Mount",
    text: ({ mount }) => mount.mountpoint,
    note: ({ vhost }) => nameAndPort(vhost),
  },
  number("Running", ({ cgi }) => cgi.alive),
  number("Waiting", ({ cgi }) => cgi.queued),
  number("Started", ({ cgi }) => cgi.started),
  fault("Failed", ({ cgi }) => cgi.failed),
  fault("Timed out", ({ cgi }) => cgi.timedOut),
  fault("Refused", ({ cgi }) => cgi.refused),
  number("CPU time", ({ cgi }) => cgi.cpuMs * 1000, micros),
  number(
    "Peak memory",
    ({ cgi }) => cgi.peakBytes,
    (peak) => bytes(peak === 0 ? null : peak),
    {
      hint: "The most that one program had beyond what the worker has itself",
    },
  ),
];

const countColumns: readonly Column<CountRow>[] = [
  {
    title: "Protocol",
    text: ({ protocol }) => protocol,
    note: ({ vhost }) => nameAndPort(vhost),
  },
  { title: "Counter", text: ({ name }) => name.replaceAll("_", " ") },
  number("Count", ({ count }) => count),
];

const certificateColumns: readonly Column<CertificateRow>[] = [
  { title: "Host", text: ({ vhost }) => nameAndPort(vhost) },
  {
    title: "State",
    text: ({ certificate }) => certificateState(certificate),
    note: ({ certificate: { problem } }) => (problem === undefined ? "" : `kept: ${problem}`),
    isBadge: true,
  },
  number("Days left", ({ certificate }) => certificate.daysLeft),
  {
    title: "Expires",
    text: ({ certificate }) => isoDay(certificate.expiresAt),
  },
];

const listenerColumns: readonly Column<Listener>[] = [
  { title: "Address", text: ({ address }) => address },
  { title: "State", text: ({ state }) => state, isBadge: true },
  { title: "TLS", text: ({ secure }) => (secure ? "yes" : "no") },
  { title: "Hosts", text: ({ vhosts }) => shortList(vhosts), isLong: true },
];

/** Names of hosts that are told of one address. */
const SHOWN_NAMES = 20;

function shortList(names: readonly string[]): string {
  if (names.length === 0) return UNKNOWN;
  const more = names.length - SHOWN_NAMES;
  return `${names.slice(0, SHOWN_NAMES).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** "ok", "soon", "expired". */
export function certificateState({ daysLeft }: Certificate): string {
  if (daysLeft < 0) return "expired";
  return daysLeft < SOON_DAYS ? "soon" : "ok";
}

/** With the port that port 0 became. */
export function nameAndPort({ name, port }: Vhost): string {
  return port > 0 ? `${name}:${port}` : name;
}

function cachePolicy(mount: Mount): string {
  if (mount.cacheMaxAge === 0 || !mount.cacheReuse) return "no-store";
  const parts = [mount.cacheIntermediaries ? "public" : "private", duration(mount.cacheMaxAge)];
  return (mount.cacheRevalidate ? [...parts, "revalidate"] : parts).join(", ");
}
