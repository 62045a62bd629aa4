// The listening sockets: bound here, counted over the generations that use them. Workers listen and accept, or the intake does.
// A socket lives as long as any generation wants its address, so a reload neither refuses nor cuts anybody.

import { isIP } from "node:net";
import { setTimeout } from "node:timers/promises";
import type { WantedListener } from "../config/listeners.ts";
import type { WorkerUser } from "../ipc/messages.ts";
import { resolveAddresses, tcpAddress, type AddressPlan } from "./addresses.ts";
import { bind, BindError, type BindFailure, type OpenSocket } from "./bind.ts";

/** Half a second for workers that drain to close a socket. */
const LEFT_TRIES = 10;
const LEFT_RETRY_MS = 50;

/** A bound socket in the hands of a generation. */
export type Listener = AddressPlan & {
  /** As bound: with the real port where the configuration says 0. */
  readonly bound: string;
  readonly port: number;
  /** Descriptor in the supervisor. */
  readonly fd: number;
};

export type ListenerSet = {
  readonly listeners: readonly Listener[];
  readonly missing: readonly string[];
  readonly lacksIpv6: boolean;
};

type Entry = OpenSocket & { users: number };

/** All sockets of one supervisor. */
export class Listeners {
  readonly #entries = new Map<string, Entry>();
  /** Ports that were given up; there are no more than 65,535. */
  readonly #leftPorts = new Set<number>();

  /** Binds what is new and counts one more user on each. Throws BindError and changes nothing if one cannot be had. */
  async acquire(
    wanted: readonly WantedListener[],
    user: WorkerUser | undefined,
  ): Promise<ListenerSet> {
    const { plans, missing, lacksIpv6 } = resolveAddresses(wanted);
    const fresh = new Map<string, Entry>();
    const shared = new Map<string, Entry>();
    const failures: BindFailure[] = [];
    for (const plan of plans) {
      if (this.#entries.has(plan.key) || fresh.has(plan.key)) continue;
      const same = this.#boundTo(plan);
      if (same) {
        shared.set(plan.key, same);
        continue;
      }
      const rival = this.#rivalOf(plan);
      if (rival !== undefined) {
        failures.push({ vhosts: plan.vhosts, message: explainRival(plan.key, rival) });
        continue;
      }
      try {
        for (const [key, socket] of await this.#bind(plan, plans, user))
          fresh.set(key, { ...socket, users: 0 });
      } catch (error) {
        if (!(error instanceof BindError)) throw error;
        failures.push({ vhosts: plan.vhosts, message: error.message });
      }
    }
    if (failures.length > 0) {
      for (const entry of fresh.values()) entry.close();
      throw new BindError(failures);
    }
    for (const [key, entry] of [...fresh, ...shared]) this.#entries.set(key, entry);
    const listeners = plans.map((plan) => this.#use(plan));
    return { listeners, missing, lacksIpv6 };
  }

  /** Gives up one use of each; a socket nobody uses is closed. */
  release(set: ListenerSet): void {
    for (const { key } of set.listeners) {
      const entry = this.#entries.get(key);
      if (!entry) continue;
      entry.users -= 1;
      if (entry.users === 0) this.#close(entry);
    }
  }

  closeAll(): void {
    for (const entry of new Set(this.#entries.values())) this.#close(entry);
  }

  /** Workers that drain close a socket when they hear of it; one that was given up just now may be wanted again before that. */
  async #bind(
    plan: AddressPlan,
    plans: readonly AddressPlan[],
    user: WorkerUser | undefined,
  ): Promise<[key: string, socket: OpenSocket][]> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await bind(plan, plans, user);
      } catch (error) {
        const wasOurs = plan.address.kind === "tcp" && this.#leftPorts.has(plan.address.port);
        if (!wasOurs || attempt === LEFT_TRIES) throw error;
        await setTimeout(LEFT_RETRY_MS);
      }
    }
  }

  /** A socket of ours on the same port, one of the two on all addresses: the system lets only one of them listen. */
  #rivalOf({ address }: AddressPlan): string | undefined {
    if (address.kind !== "tcp" || address.port === 0) return undefined;
    const rival = [...this.#entries.values()].find(
      ({ host, port }) =>
        host !== undefined &&
        port === address.port &&
        isIP(host) === isIP(address.host) &&
        isWildcard(host) !== isWildcard(address.host),
    );
    return rival && tcpAddress(rival.host ?? "", rival.port);
  }

  #use(plan: AddressPlan): Listener {
    const entry = this.#entries.get(plan.key);
    if (!entry) throw new Error(`Listener ${plan.key} was not bound`);
    entry.users += 1;
    const bound =
      plan.address.kind === "tcp" ? tcpAddress(plan.address.host, entry.port) : plan.key;
    return { ...plan, bound, port: entry.port, fd: entry.fd };
  }

  /** The port that port 0 became may be asked for by its number now: that is the same socket. */
  #boundTo({ address }: AddressPlan): Entry | undefined {
    if (address.kind !== "tcp") return undefined;
    return [...this.#entries.values()].find(
      ({ host, port }) => host === address.host && port === address.port,
    );
  }

  #close(entry: Entry): void {
    for (const [key, candidate] of this.#entries)
      if (candidate === entry) this.#entries.delete(key);
    if (entry.host !== undefined) this.#leftPorts.add(entry.port);
    entry.close();
  }
}

function explainRival(wanted: string, held: string): string {
  return `Cannot bind "${wanted}" while this server itself listens on ${held}: take what is on ${held} out and reload, then put it back as it is to be and reload again; a restart does it in one step`;
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
