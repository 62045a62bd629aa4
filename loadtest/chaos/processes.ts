// What /proc tells of the server's processes.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const LOOPBACK = "0100007F";

export type ProcessState = {
  readonly pid: number;
  readonly parent: number;
  /** A letter of proc(5): "Z" is a zombie, "T" is stopped. */
  readonly state: string;
  /** Tells two processes of one number apart. */
  readonly startedAt: string;
};

/** Undefined once it has ended. */
export function processState(pid: number): ProcessState | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state = "", parent = ""] = fields;
  return { pid, parent: Number(parent), state, startedAt: fields[19] ?? "" };
}

/** All processes below this one. */
export function descendants(pid: number): ProcessState[] {
  const all = new Map(
    readdirSync("/proc")
      .filter((entry) => /^\d+$/.test(entry))
      .flatMap((entry) => processState(Number(entry)) ?? [])
      .map((state) => [state.pid, state]),
  );
  const isBelow = (one: ProcessState | undefined): boolean =>
    one !== undefined && (one.parent === pid || isBelow(all.get(one.parent)));
  return [...all.values()].filter(isBelow);
}

/** The processes whose command line names this directory. */
export function processesNaming(directory: string): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .filter((entry) => read(`/proc/${entry}/cmdline`)?.includes(directory))
    .map(Number);
}

/** How many descriptors it has; 0 once it has ended. */
export function countDescriptors(pid: number): number {
  return descriptorsOf(pid).length;
}

/** What they are: sockets, pipes, files by their names, and how many of each. */
export function descriptorKinds(pid: number): Record<string, number> {
  const kinds: Record<string, number> = {};
  for (const fd of descriptorsOf(pid)) {
    const kind = linkOf(pid, fd).replace(/:\[\d+\]$/, "");
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}

/** As whom it runs: its real user and group. */
export function userOf(pid: number): { readonly uid: number; readonly gid: number } {
  const status = read(`/proc/${pid}/status`) ?? "";
  const idOf = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1]);
  return { uid: idOf("Uid"), gid: idOf("Gid") };
}

/** VmRSS; 0 once it has ended. */
export function residentBytes(pid: number): number {
  const kb = /^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`) ?? "")?.[1];
  return Number(kb ?? 0) * 1024;
}

/** The ports of the clients on loopback that this process is connected with. */
export function clientPorts(pid: number): Set<number> {
  const inodes = new Set(
    descriptorsOf(pid).flatMap((fd) => /^socket:\[(\d+)\]$/.exec(linkOf(pid, fd))?.[1] ?? []),
  );
  const ports = new Set<number>();
  for (const line of (read("/proc/net/tcp") ?? "").split("\n").slice(1)) {
    const [, , remote = "", , , , , , , inode = ""] = line.trim().split(/\s+/);
    const [address, port = ""] = remote.split(":");
    if (address === LOOPBACK && inodes.has(inode)) ports.add(Number.parseInt(port, 16));
  }
  return ports;
}

function descriptorsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return [];
  }
}

function linkOf(pid: number, fd: string): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    // It was closed meanwhile.
    return "";
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
