// What all workers have counted, those that left included. Samples are cumulative, so only what grew since the sample before is
// added, and sums never go back; a sample that says otherwise, or counts what is not configured, is not of our making.

import { vhostKey } from "../config/listeners.ts";
import type { ServerConfig } from "../config/server.ts";
import {
  addGrowth,
  emptyCgiCounters,
  emptyGauges,
  emptyMountCounters,
  emptyVhostCounters,
  emptyWorkerCounters,
  hasGrown,
  mountKey,
  type CgiCounters,
  type CgiGauges,
  type MountCounters,
  type Sample,
  type VhostCounters,
  type WorkerCounters,
  type WorkerGauges,
} from "../ipc/stats.ts";

/** What one worker has said so far. */
export type Tally = {
  readonly vhosts: Map<string, VhostCounters>;
  readonly mounts: Map<string, MountCounters>;
  readonly cgi: Map<string, CgiCounters>;
  cgiGauges: Readonly<Record<string, CgiGauges>>;
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
  readonly counters: WorkerCounters = emptyWorkerCounters();
  /** Over all vhosts there ever were. */
  readonly sum: VhostCounters = emptyVhostCounters();
  /** Vhosts of which anything has changed; whoever shows them takes their keys out. */
  readonly changed = new Set<string>();
  /** Names that any configuration of this server has had, and for mounts the vhost. */
  readonly #vhostOf = new Map<string, string>();

  /** From now on workers may have this configuration. */
  know(config: ServerConfig): void {
    for (const vhost of config.vhosts) {
      const key = vhostKey(vhost);
      this.#vhostOf.set(key, key);
      for (const { mountpoint } of vhost.mounts) this.#vhostOf.set(mountKey(key, mountpoint), key);
    }
  }

  /** Adds what a worker has counted since its last sample, to `also` too. What is wrong with the sample, in words, where nothing is added. */
  add(tally: Tally, sample: Sample, also: readonly VhostCounters[]): string | undefined {
    // Sums outlive workers, so names of a worker's own making would be kept for ever.
    for (const table of [sample.vhosts, sample.mounts, sample.cgi, sample.cgiGauges])
      for (const name of Object.keys(table))
        if (!this.#vhostOf.has(name)) return "Sent statistics of what is not configured";
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

  #isGrowth(tally: Tally, { vhosts, mounts, cgi, counters }: Sample): boolean {
    return (
      hasGrown(counters, tally.counters) &&
      haveGrown(vhosts, tally.vhosts) &&
      haveGrown(mounts, tally.mounts) &&
      haveGrown(cgi, tally.cgi)
    );
  }

  #touch(mount: string): void {
    const key = this.#vhostOf.get(mount);
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

function entryOf<V>(table: Map<string, V>, key: string, make: () => V): V {
  let value = table.get(key);
  if (value === undefined) table.set(key, (value = make()));
  return value;
}
