// The tables: generations and their workers, virtual hosts, mounts, addresses.

import { sum, type Board, type Listener, type Mount, type Vhost, type Worker } from "./board.ts";
import { bytes, duration, rate, whole } from "./format.ts";
import { Table, type Column } from "./table.tsx";

const HIDDEN = "The configuration keeps them off this page (“hide-vhosts”).";

type Props = { readonly board: Board };

export function Generations({ board }: Props) {
  return (
    <Table
      id="generations"
      title="Generations"
      columns={generationColumns}
      items={groupByGeneration(board)}
      keyOf={({ generation }) => generation}
      empty="None."
    />
  );
}

export function Workers({ board }: Props) {
  return (
    <Table
      id="workers"
      title="Workers"
      columns={workerColumns}
      items={board.workers}
      keyOf={({ id }) => id}
      empty="None."
    />
  );
}

export function Vhosts(props: Props & { readonly rates: ReadonlyMap<string, number> }) {
  return (
    <Table
      id="vhosts"
      title="Virtual hosts"
      columns={vhostColumns(props.rates)}
      items={props.board.vhosts}
      keyOf={({ key }) => key}
      empty={HIDDEN}
    />
  );
}

export function Mounts({ board: { vhosts } }: Props) {
  return (
    <Table
      id="mounts"
      title="Mounts"
      columns={mountColumns}
      items={vhosts.flatMap((vhost) => vhost.mounts.map((mount) => ({ vhost, mount })))}
      keyOf={({ vhost, mount }) => `${vhost.key} ${mount.mountpoint}`}
      empty={vhosts.length === 0 ? HIDDEN : "None."}
    />
  );
}

/** Mounts that start programs; not there before one of them did. */
export function Programs({ board: { vhosts } }: Props) {
  const items = vhosts.flatMap((vhost) =>
    vhost.mounts.flatMap(({ mountpoint, cgi }) => (cgi ? [{ vhost, mountpoint, ...cgi }] : [])),
  );
  if (items.length === 0) return null;
  return (
    <Table
      id="programs"
      title="Programs"
      columns={programColumns}
      items={items}
      keyOf={({ vhost, mountpoint }) => `${vhost.key} ${mountpoint}`}
      empty="None."
    />
  );
}

export function Listeners({ board }: Props) {
  return (
    <Table
      id="listeners"
      title="Addresses"
      columns={listenerColumns}
      items={board.listeners}
      keyOf={({ address }) => address}
      empty="None."
    />
  );
}

type GenerationRow = { readonly generation: number; readonly workers: readonly Worker[] };

const generationColumns: readonly Column<GenerationRow>[] = [
  { title: "Generation", text: ({ generation }) => String(generation) },
  { title: "State", text: ({ workers }) => jointState(workers), isBadge: true },
  number("Workers", ({ workers }) => whole(workers.length)),
  number("Connections", ({ workers }) => whole(sum(workers, (w) => w.gauges.openConnections))),
  number("WebSockets", ({ workers }) => whole(sum(workers, (w) => w.gauges.openWebSockets))),
  number("In flight", ({ workers }) => whole(sum(workers, (w) => w.gauges.activeRequests))),
  number("Memory", ({ workers }) => bytes(sum(workers, (w) => w.memoryBytes))),
  number("Up", ({ workers }) => duration(Math.max(...workers.map((w) => w.uptimeSecs)))),
];

const workerColumns: readonly Column<Worker>[] = [
  { title: "Worker", text: ({ id }) => String(id) },
  number("Process", ({ pid }) => String(pid)),
  number("Generation", ({ generation }) => String(generation)),
  { title: "State", text: ({ state }) => state, isBadge: true },
  number("Up", ({ uptimeSecs }) => duration(uptimeSecs)),
  number("CPU", ({ cpuPercent }) => `${cpuPercent.toFixed(0)} %`),
  number("Memory", ({ memoryBytes }) => bytes(memoryBytes)),
  number("Connections", ({ gauges }) => whole(gauges.openConnections)),
  number("WebSockets", ({ gauges }) => whole(gauges.openWebSockets)),
  number("In flight", ({ gauges }) => whole(gauges.activeRequests)),
  number("CGI", ({ gauges }) => whole(gauges.cgiAlive)),
  number("Loop busy", ({ gauges }) => `${(100 * gauges.loopUtilization).toFixed(0)} %`),
  number("Loop lag", ({ gauges }) => `${gauges.loopLagMs.toFixed(1)} ms`),
];

function vhostColumns(rates: ReadonlyMap<string, number>): Column<Vhost>[] {
  return [
    {
      title: "Host",
      text: (vhost) => `${vhost.secure ? "https" : "http"}://${nameAndPort(vhost)}`,
    },
    number("Requests/s", ({ key }) => rate(rates.get(key))),
    number("Requests", ({ counters }) => whole(counters.requests)),
    number("2xx", ({ counters }) => whole(counters.status2xx)),
    number("3xx", ({ counters }) => whole(counters.status3xx)),
    number("4xx", ({ counters }) => whole(counters.status4xx)),
    number("5xx", ({ counters }) => whole(counters.status5xx)),
    number("Connections", ({ counters }) => whole(counters.connections)),
    number("Upgrades", ({ counters }) => whole(counters.upgrades)),
    number("Received", ({ counters }) => bytes(counters.rx)),
    number("Sent", ({ counters }) => bytes(counters.tx)),
    { title: "Protocols", text: ({ protocols }) => protocols.join(", ") || "–", isLong: true },
  ];
}

const mountColumns: readonly Column<{ readonly vhost: Vhost; readonly mount: Mount }>[] = [
  { title: "Host", text: ({ vhost }) => nameAndPort(vhost) },
  { title: "Mountpoint", text: ({ mount }) => mount.mountpoint },
  { title: "Default", text: ({ mount }) => mount.default || "–" },
  { title: "Cache", text: ({ mount }) => cachePolicy(mount) },
  { title: "Origin", text: ({ mount }) => mount.origin, isLong: true },
];

type ProgramRow = NonNullable<Mount["cgi"]> & {
  readonly vhost: Vhost;
  readonly mountpoint: string;
};

const programColumns: readonly Column<ProgramRow>[] = [
  { title: "Host", text: ({ vhost }) => nameAndPort(vhost) },
  { title: "Mountpoint", text: ({ mountpoint }) => mountpoint },
  number("Running", ({ alive }) => whole(alive)),
  number("Waiting", ({ queued }) => whole(queued)),
  number("Started", ({ started }) => whole(started)),
  number("Failed", ({ failed }) => whole(failed)),
  number("Timed out", ({ timedOut }) => whole(timedOut)),
  number("Refused", ({ refused }) => whole(refused)),
  number("CPU time", ({ cpuMs }) => duration(cpuMs / 1000)),
  number("Peak memory", ({ peakBytes }) => (peakBytes === 0 ? "–" : bytes(peakBytes))),
];

const listenerColumns: readonly Column<Listener>[] = [
  { title: "Address", text: ({ address }) => address },
  { title: "State", text: ({ state }) => state, isBadge: true },
  { title: "TLS", text: ({ secure }) => (secure ? "yes" : "no") },
  { title: "Hosts", text: ({ vhosts }) => vhosts.join(", ") || "–", isLong: true },
];

/** With the port that port 0 became. */
function nameAndPort({ name, port }: Vhost): string {
  return port > 0 ? `${name}:${port}` : name;
}

function number<Item>(title: string, text: (item: Item) => string): Column<Item> {
  return { title, text, isNumber: true };
}

/** Newest first. */
function groupByGeneration({ workers }: Board): GenerationRow[] {
  return [...new Set(workers.map(({ generation }) => generation))]
    .toSorted((one, other) => other - one)
    .map((generation) => ({
      generation,
      workers: workers.filter((worker) => worker.generation === generation),
    }));
}

/** A generation serves as soon as one of its workers does; a replacement may be starting beside it. */
function jointState(workers: readonly Worker[]): string {
  const states = workers.map(({ state }) => state);
  return states.find((state) => state === "serving") ?? states[0] ?? "";
}

function cachePolicy(mount: Mount): string {
  if (mount.cacheMaxAge === 0 || !mount.cacheReuse) return "no-store";
  const parts = [mount.cacheIntermediaries ? "public" : "private", duration(mount.cacheMaxAge)];
  return (mount.cacheRevalidate ? [...parts, "revalidate"] : parts).join(", ");
}
