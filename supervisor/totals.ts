// What all workers have counted, those that left included. Samples are cumulative, so only what grew since the sample before is
// added, and sums never go back; a sample that says otherwise, or counts what is not configured, is not of our making.

import { protocolScope, vhostKey } from "../config/listeners.ts";
import type { ServerConfig } from "../config/server.ts";
import {
  addGrowth,
  emptyCgiCounters,
  emptyGauges,
  emptyMountCounters,
  emptyVhostCounters,
  emptyWorkerCounters,
  hasGrown,
  MAX_PROTOCOL_COUNTERS,
  mountKey,
  PROTOCOL_COUNTER,
  type CgiCounters,
  type CgiGauges,
  type MountCounters,
  type Sample,
  type VhostCounters,
  type WorkerCounters,
  type WorkerGauges,
} from "../ipc/stats.ts";

/** Names of its own that are added up for one protocol: what is called anew with each reload must not grow for ever. */
const MAX_PROTOCOL_SUMS = 4 * MAX_PROTOCOL_COUNTERS;

/** What one worker has said so far. */
export type Tally = {
  readonly vhosts: Map<string, VhostCounters>;
  readonly mounts: Map<string, MountCounters>;
  readonly cgi: Map<string, CgiCounters>;
  cgiGauges: Readonly<Record<string, CgiGauges>>;
  readonly protocols: Map<string, Readonly<Record<string, number>>>;
  counters: WorkerCounters;
  gauges: WorkerGauges;
  /** Over all vhosts. */
  readonly sum: VhostCounters;
};

/** Nothing was said yet. */
export function emptyTally(): Tally {
  return {
    vhosts: new Map(),
    mounts: new Map(),
    cgi: new Map(),
    cgiGauges: {},
    protocols: new Map(),
    counters: emptyWorkerCounters(),
    gauges: emptyGauges(),
    sum: emptyVhostCounters(),
  };
}

/** The sums of one server. */
export class Totals {
  readonly vhosts = new Map<string, VhostCounters>();
  readonly mounts = new Map<string, MountCounters>();
  readonly cgi = new Map<string, CgiCounters>();
  /** By protocolScope() and by the protocol's own names. */
  readonly protocols = new Map<string, Map<string, number>>();
  readonly counters: WorkerCounters = emptyWorkerCounters();
  /** Over all vhosts there ever were. */
  readonly sum: VhostCounters = emptyVhostCounters();
  /** Vhosts of which anything has changed; whoever shows them takes their keys out. */
  readonly changed = new Set<string>();
  /** Names that any configuration of this server has had, and for mounts and protocols the vhost. */
  readonly #vhostOf = new Map<string, string>();

  /** From now on workers may have this configuration. */
  know(config: ServerConfig): void {
    for (const vhost of config.vhosts) {
      const key = vhostKey(vhost);
      this.#vhostOf.set(key, key);
      for (const { mountpoint } of vhost.mounts) this.#vhostOf.set(mountKey(key, mountpoint), key);
      for (const { name } of vhost["ws-protocols"])
        this.#vhostOf.set(protocolScope(vhost, name), key);
    }
  }

  /** Adds what a worker has counted since its last sample, to `also` too. What is wrong with the sample, in words, where nothing is added. */
  add(tally: Tally, sample: Sample, also: readonly VhostCounters[]): string | undefined {
    // Sums outlive workers, so names of a worker's own making would be kept for ever.
    for (const table of [
      sample.vhosts,
      sample.mounts,
      sample.cgi,
      sample.cgiGauges,
      sample.protocols,
    ])
      for (const name of Object.keys(table))
        if (!this.#vhostOf.has(name)) return "Sent statistics of what is not configured";
    if (!Object.values(sample.protocols).every(mayBeCounted))
      return "Sent counters that no protocol may have";
    if (!this.#isGrowth(tally, sample)) return "Sent statistics that go back";

    for (const [key, now] of Object.entries(sample.vhosts)) {
      const before = tally.vhosts.get(key);
      const known = entryOf(this.vhosts, key, emptyVhostCounters);
      for (const into of [known, this.sum, tally.sum, ...also]) addGrowth(into, now, before);
      tally.vhosts.set(key, now);
      this.changed.add(key);
    }
    for (const [key, now] of Object.entries(sample.mounts)) {
      addGrowth(entryOf(this.mounts, key, emptyMountCounters), now, tally.mounts.get(key));
      tally.mounts.set(key, now);
      this.#touch(key);
    }
    for (const [key, now] of Object.entries(sample.cgi)) {
      const into = entryOf(this.cgi, key, emptyCgiCounters);
      const peakBytes = Math.max(into.peakBytes, now.peakBytes);
      addGrowth(into, now, tally.cgi.get(key));
      into.peakBytes = peakBytes;
      tally.cgi.set(key, now);
      this.#touch(key);
    }
    for (const [scope, now] of Object.entries(sample.protocols)) {
      addNames(entryOf(this.protocols, scope, newSums), now, tally.protocols.get(scope));
      tally.protocols.set(scope, now);
      this.#touch(scope);
    }
    addGrowth(this.counters, sample.counters, tally.counters);
    tally.counters = sample.counters;
    tally.gauges = sample.gauges;
    tally.cgiGauges = sample.cgiGauges;
    return undefined;
  }

  /** A worker has nothing running any more. */
  leave(tally: Tally): void {
    for (const key of Object.keys(tally.cgiGauges)) this.#touch(key);
  }

  #isGrowth(tally: Tally, { vhosts, mounts, cgi, counters, protocols }: Sample): boolean {
    return (
      hasGrown(counters, tally.counters) &&
      haveGrown(vhosts, tally.vhosts) &&
      haveGrown(mounts, tally.mounts) &&
      haveGrown(cgi, tally.cgi) &&
      Object.entries(protocols).every(([scope, now]) =>
        areNamesGrown(now, tally.protocols.get(scope)),
      )
    );
  }

  #touch(mountOrProtocol: string): void {
    const key = this.#vhostOf.get(mountOrProtocol);
    if (key !== undefined) this.changed.add(key);
  }
}

function haveGrown<C extends Record<string, number | number[]>>(
  now: Readonly<Record<string, C>>,
  before: ReadonlyMap<string, C>,
): boolean {
  return Object.entries(now).every(([key, counters]) => {
    const old = before.get(key);
    return old === undefined || hasGrown(counters, old);
  });
}

const newSums = (): Map<string, number> => new Map();

function mayBeCounted(counts: Readonly<Record<string, number>>): boolean {
  const names = Object.keys(counts);
  return (
    names.length <= MAX_PROTOCOL_COUNTERS && names.every((name) => PROTOCOL_COUNTER.test(name))
  );
}

/** Whether all those before are there still, and none is less than it was. */
function areNamesGrown(
  now: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>> = {},
): boolean {
  const values = new Map(Object.entries(now));
  return Object.entries(before).every(([name, old]) => (values.get(name) ?? -1) >= old);
}

function addNames(
  sums: Map<string, number>,
  now: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>> = {},
): void {
  const old = new Map(Object.entries(before));
  for (const [name, value] of Object.entries(now)) {
    if (!sums.has(name) && sums.size >= MAX_PROTOCOL_SUMS) continue;
    sums.set(name, (sums.get(name) ?? 0) + value - (old.get(name) ?? 0));
  }
}

function entryOf<V>(table: Map<string, V>, key: string, make: () => V): V {
  let value = table.get(key);
  if (value === undefined) table.set(key, (value = make()));
  return value;
}
