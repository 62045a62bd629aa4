// The listening sockets: bound here, counted over the generations that use them. Workers listen and accept, or the intake does.
// A socket lives as long as any generation wants its address, so a reload neither refuses nor cuts anybody.

import { isIP } from "node:net";
import { setTimeout } from "node:timers/promises";
import type { WantedListener } from "../config/listeners.ts";
import type { WorkerUser } from "../ipc/messages.ts";
import type { GivenSocket } from "./activation.ts";
import { canonicalHost, resolveAddresses, tcpAddress, type AddressPlan } from "./addresses.ts";
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
  /** Sockets that were given to us and that no vhost wants, for people. */
  readonly idle: readonly string[];
};

type Entry = OpenSocket & { users: number };

/** All sockets of one supervisor. */
export class Listeners {
  readonly #entries = new Map<string, Entry>();
  /** Ports that were given up; there are no more than 65,535. */
  readonly #leftPorts = new Set<number>();
  /** They stay ours to the end, whether wanted or not. */
  #given: readonly GivenSocket[];

  /** `given` sockets are listened on already, and are taken where one is wanted. */
  constructor(given: readonly GivenSocket[] = []) {
    this.#given = given;
  }

  /** Binds what is new and counts one more user on each. Throws BindError and changes nothing if one cannot be had. */
  async acquire(
    wanted: readonly WantedListener[],
    user: WorkerUser | undefined,
  ): Promise<ListenerSet> {
    const { plans: resolved, missing, lacksIpv6 } = resolveAddresses(wanted);
    const fresh = new Map<string, Entry>();
    const shared = new Map<string, Entry>();
    const failures: BindFailure[] = [];
    const plans = this.#joinFamilies(resolved, failures);
    for (const plan of plans) {
      if (this.#entries.has(plan.key) || fresh.has(plan.key)) continue;
      const same = this.#boundTo(plan);
      if (same) {
        shared.set(plan.key, same);
        continue;
      }
      const given = this.#given.find((socket) => isFor(socket, plan));
      if (given) {
        fresh.set(plan.key, { ...given, close() {}, users: 0 });
        continue;
      }
      const rival = this.#rivalOf(plan);
      if (rival !== undefined) {
        failures.push({ vhosts: plan.vhosts, message: rival });
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
    const idle = this.#given
      .filter((socket) => !plans.some((plan) => isFor(socket, plan)))
      .map(({ label }) => label);
    return { listeners, missing, lacksIpv6, idle };
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
    for (const socket of this.#given) socket.close();
    this.#given = [];
  }

  /** A given socket may take IPv4 with IPv6: where both are wanted by the same vhosts, it is one socket for two addresses. */
  #joinFamilies(plans: readonly AddressPlan[], failures: BindFailure[]): readonly AddressPlan[] {
    let joined = plans;
    for (const { takesBoth, port, key, label } of this.#given) {
      const v4 = plans.find((plan) => plan.key === tcpAddress("0.0.0.0", port));
      const v6 = plans.find((plan) => plan.key === key);
      if (!takesBoth || (!v4 && !v6)) continue;
      if (v4 && v6 && v4.vhosts.join() === v6.vhosts.join()) {
        const both = { ...v6, overrides: [...v4.overrides, ...v6.overrides] };
        joined = joined.filter((plan) => plan !== v4).map((plan) => (plan === v6 ? both : plan));
      } else {
        const message = `The socket ${label} of LISTEN_FDS takes IPv4 and IPv6, and not both are wanted by the same vhosts: its unit needs "BindIPv6Only=ipv6-only"`;
        failures.push({ vhosts: (v6 ?? v4)?.vhosts ?? [], message });
        joined = joined.filter((plan) => plan !== v4 && plan !== v6);
      }
    }
    return joined;
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

  /** A socket of ours on the same port, one of the two on all addresses: the system lets only one of them listen. Told as a message. */
  #rivalOf({ address, key }: AddressPlan): string | undefined {
    if (address.kind !== "tcp" || address.port === 0) return undefined;
    const stands = ({ host, port }: OpenSocket): boolean =>
      host !== undefined &&
      port === address.port &&
      isIP(host) === isIP(address.host) &&
      isWildcard(host) !== isWildcard(address.host);
    const given = this.#given.find(
      (socket) => socket.port === address.port && (socket.takesBoth || stands(socket)),
    );
    if (given)
      return `Cannot bind "${key}" beside the socket ${given.label} of LISTEN_FDS: the unit and the configuration have to name the same address`;
    const rival = [...this.#entries.values()].find(stands);
    return rival && explainRival(key, tcpAddress(rival.host ?? "", rival.port));
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

function isFor(socket: GivenSocket, { key, address }: AddressPlan): boolean {
  if (address.kind === "unix") return socket.key === key;
  return address.port !== 0 && socket.key === tcpAddress(canonicalHost(address.host), address.port);
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
