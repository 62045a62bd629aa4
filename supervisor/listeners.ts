// The listening sockets: bound here, counted over the generations that use them. Workers listen and accept, or the intake does.
// A socket lives as long as any generation wants its address, so a reload neither refuses nor cuts anybody.

import { chmodSync, chownSync, lstatSync, unlinkSync } from "node:fs";
import net, { isIP } from "node:net";
import { setTimeout } from "node:timers/promises";
import type { WantedListener } from "../config/listeners.ts";
import type { WorkerUser } from "../ipc/messages.ts";
import { resolveAddresses, tcpAddress, type AddressPlan, type SocketAddress } from "./addresses.ts";
import { lookupOwner } from "./users.ts";

/** Tries to find one port that is free for both address families when port 0 was asked for. */
const PORT_TRIES = 10;
const SOCKET_MODE = 0o660;
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

/** Addresses cannot be had; each failure with the vhosts that want it. */
export class BindError extends Error {
  readonly code = "BIND";
  readonly failures: readonly BindFailure[];
  constructor(failures: readonly BindFailure[], options?: ErrorOptions) {
    super(failures.map((failure) => failure.message).join("\n"), options);
    this.failures = failures;
  }
}

export type BindFailure = { readonly vhosts: readonly number[]; readonly message: string };

type Entry = {
  readonly socket: net.BoundSocket;
  readonly fd: number;
  /** Undefined for a Unix socket. */
  readonly host: string | undefined;
  readonly port: number;
  users: number;
};

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
        for (const [key, entry] of await this.#bind(plan, plans, user)) fresh.set(key, entry);
      } catch (error) {
        if (!(error instanceof BindError)) throw error;
        failures.push({ vhosts: plan.vhosts, message: error.message });
      }
    }
    if (failures.length > 0) {
      for (const entry of fresh.values()) entry.socket.close();
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
  ): Promise<[key: string, entry: Entry][]> {
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
    entry.socket.close();
  }
}

function explainRival(wanted: string, held: string): string {
  return `Cannot bind "${wanted}" while this server itself listens on ${held}: take what is on ${held} out and reload, then put it back as it is to be and reload again; a restart does it in one step`;
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** Binds the socket of `plan`, and with port 0 also its sibling of the other family. */
async function bind(
  plan: AddressPlan,
  plans: readonly AddressPlan[],
  user: WorkerUser | undefined,
): Promise<[key: string, entry: Entry][]> {
  const { key, address } = plan;
  if (address.kind === "unix") return [[key, await bindUnix(address, user)]];
  const sibling = plans.find((other) => isFreePortSibling(plan, other));
  if (sibling) return bindFreePort(key, sibling.key);
  return [[key, toEntry(bindTcp(address.host, address.port), address.host)]];
}

function isFreePortSibling(v4: AddressPlan, v6: AddressPlan): boolean {
  const [one, two] = [v4.address, v6.address];
  if (one.kind !== "tcp" || two.kind !== "tcp" || v4.secure !== v6.secure) return false;
  return one.port === 0 && two.port === 0 && one.host === "0.0.0.0" && two.host === "::";
}

/** One free port for both families. */
function bindFreePort(v4Key: string, v6Key: string): [key: string, entry: Entry][] {
  for (let attempt = 1; ; attempt += 1) {
    const first = bindTcp("0.0.0.0", 0);
    try {
      const second = bindTcp("::", first.address().port ?? 0);
      return [
        [v4Key, toEntry(first, "0.0.0.0")],
        [v6Key, toEntry(second, "::")],
      ];
    } catch (error) {
      first.close();
      if (attempt === PORT_TRIES) throw error;
    }
  }
}

function bindTcp(host: string, port: number): net.BoundSocket {
  try {
    return new net.BoundSocket({ host, port, ipv6Only: host.includes(":") });
  } catch (cause) {
    throw refusal(`Cannot bind "${tcpAddress(host, port)}": ${errorCode(cause)}`, cause);
  }
}

function toEntry(socket: net.BoundSocket, host: string): Entry {
  return { socket, host, fd: socket.fd(), port: socket.address().port ?? 0, users: 0 };
}

async function bindUnix(
  address: Extract<SocketAddress, { kind: "unix" }>,
  user: WorkerUser | undefined,
): Promise<Entry> {
  const { path, perms } = address;
  const isAbstract = path.startsWith("@");
  const systemPath = isAbstract ? `\0${path.slice(1)}` : path;
  if (!isAbstract) await removeStaleSocket(path);
  try {
    // The declared options know TCP only; BoundSocket takes a path as well.
    const socket = new net.BoundSocket({ path: systemPath } as unknown as net.BoundSocketOptions);
    if (!isAbstract) {
      const owner = perms === undefined ? user : lookupOwner(perms);
      if (owner && process.getuid?.() === 0) chownSync(path, owner.uid, owner.gid);
      chmodSync(path, SOCKET_MODE);
    }
    return { socket, host: undefined, fd: socket.fd(), port: 0, users: 0 };
  } catch (cause) {
    throw refusal(`Cannot bind "unix:${path}": ${errorCode(cause)}`, cause);
  }
}

/** A socket file whose owner is gone is removed; one that answers belongs to somebody. */
async function removeStaleSocket(path: string): Promise<void> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return;
  const isLive = await new Promise<boolean>((resolve) => {
    const probe = net.connect({ path });
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED"));
  });
  if (isLive)
    throw refusal(`Cannot bind "unix:${path}": EADDRINUSE, another process listens on it`);
  unlinkSync(path);
}

function refusal(message: string, cause?: unknown): BindError {
  return new BindError([{ vhosts: [], message }], { cause });
}

function errorCode(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  return code === "EACCES" ? `${code} (ports below 1024 need root or CAP_NET_BIND_SERVICE)` : code;
}
