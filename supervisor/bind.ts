// Binds the sockets that are listened on: TCP, with one port for both families where any will do, and Unix.

import { chmodSync, chownSync, lstatSync, unlinkSync } from "node:fs";
import net from "node:net";
import type { WorkerUser } from "../ipc/messages.ts";
import { tcpAddress, type AddressPlan, type SocketAddress } from "./addresses.ts";
import { lookupOwner } from "./users.ts";

/** Tries to find one port that is free for both address families when port 0 was asked for. */
const PORT_TRIES = 10;
const SOCKET_MODE = 0o660;

/** A bound socket. */
export type OpenSocket = {
  readonly fd: number;
  /** Undefined for a Unix socket. */
  readonly host: string | undefined;
  readonly port: number;
  readonly close: () => void;
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

/** Binds the socket of `plan`, and with port 0 also its sibling of the other family. Throws BindError. */
export async function bind(
  plan: AddressPlan,
  plans: readonly AddressPlan[],
  user: WorkerUser | undefined,
): Promise<[key: string, socket: OpenSocket][]> {
  const { key, address } = plan;
  if (address.kind === "unix") return [[key, await bindUnix(address, user)]];
  const sibling = plans.find((other) => isFreePortSibling(plan, other));
  if (sibling) return bindFreePort(key, sibling.key);
  return [[key, toOpen(bindTcp(address.host, address.port), address.host)]];
}

function isFreePortSibling(v4: AddressPlan, v6: AddressPlan): boolean {
  const [one, two] = [v4.address, v6.address];
  if (one.kind !== "tcp" || two.kind !== "tcp" || v4.secure !== v6.secure) return false;
  return one.port === 0 && two.port === 0 && one.host === "0.0.0.0" && two.host === "::";
}

/** One free port for both families. */
function bindFreePort(v4Key: string, v6Key: string): [key: string, socket: OpenSocket][] {
  for (let attempt = 1; ; attempt += 1) {
    const first = bindTcp("0.0.0.0", 0);
    try {
      const second = bindTcp("::", first.address().port ?? 0);
      return [
        [v4Key, toOpen(first, "0.0.0.0")],
        [v6Key, toOpen(second, "::")],
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

function toOpen(socket: net.BoundSocket, host: string): OpenSocket {
  const { port } = socket.address();
  return { host, fd: socket.fd(), port, close: () => socket.close() };
}

async function bindUnix(
  address: Extract<SocketAddress, { kind: "unix" }>,
  user: WorkerUser | undefined,
): Promise<OpenSocket> {
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
    return { host: undefined, fd: socket.fd(), port: 0, close: () => socket.close() };
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
