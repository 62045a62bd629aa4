// Names of users and groups to numbers, through `id` and `getent` so that every name service of the host counts.

import { execFileSync } from "node:child_process";
import type { LoadedConfig } from "../config/load.ts";
import { ConfigError } from "../config/problems.ts";
import type { GlobalConfig } from "../config/server.ts";
import type { WorkerUser } from "../ipc/messages.ts";

/** A configured user or group that the host does not know; `key` is the configuration key to blame. */
export class UnknownUserError extends Error {
  readonly code = "UNKNOWN_USER";
  readonly key: string;
  constructor(key: string, message: string) {
    super(message);
    this.key = key;
  }
}

/** The user that workers become, or undefined when none is configured. Throws UnknownUserError. */
export function lookupWorkerUser(global: GlobalConfig): WorkerUser | undefined {
  const wantedUser = global.username ?? (global.uid ? String(global.uid) : undefined);
  const wantedGroup = global.groupname ?? (global.gid ? String(global.gid) : undefined);
  if (wantedUser === undefined && wantedGroup === undefined) return undefined;
  const user = wantedUser === undefined ? undefined : findUser(wantedUser);
  if (wantedUser !== undefined && !user)
    throw new UnknownUserError(
      global.username === undefined ? "uid" : "username",
      `Unknown user "${wantedUser}"`,
    );
  const gid = wantedGroup === undefined ? user?.gid : findGroup(wantedGroup);
  if (gid === undefined)
    throw new UnknownUserError(
      global.groupname === undefined ? "gid" : "groupname",
      `Unknown group "${wantedGroup}"`,
    );
  return { name: user?.name ?? "", uid: user?.uid ?? process.getuid?.() ?? 0, gid };
}

/** "user:group" as numbers. Throws UnknownUserError. */
export function lookupOwner(perms: string): { uid: number; gid: number } {
  const [userName = "", groupName] = perms.split(":");
  const user = findUser(userName);
  if (!user) throw new UnknownUserError("unix-socket-perms", `Unknown user "${userName}"`);
  const gid = groupName ? findGroup(groupName) : user.gid;
  if (gid === undefined)
    throw new UnknownUserError("unix-socket-perms", `Unknown group "${groupName}"`);
  return { uid: user.uid, gid };
}

/** Throws ConfigError naming each "unix-socket-perms" with a user or group that does not exist. */
export function checkSocketOwners(loaded: LoadedConfig): void {
  const problems = loaded.config.vhosts.flatMap((vhost, index) => {
    const perms = vhost["unix-socket-perms"];
    if (perms === undefined || !vhost["unix-socket"]) return [];
    try {
      lookupOwner(perms);
      return [];
    } catch (error) {
      if (!(error instanceof UnknownUserError)) throw error;
      return [loaded.place({ vhost: index, path: error.key, message: error.message })];
    }
  });
  if (problems.length > 0) throw new ConfigError(problems);
}

function findUser(name: string): WorkerUser | undefined {
  const uid = ask("id", ["-u", "--", name]);
  const gid = ask("id", ["-g", "--", name]);
  if (uid !== undefined && gid !== undefined)
    return { name: ask("id", ["-un", "--", name]) ?? name, uid: Number(uid), gid: Number(gid) };
  // A number needs no entry in any table; without one there is no primary group but itself.
  return /^\d+$/.test(name) ? { name: "", uid: Number(name), gid: Number(name) } : undefined;
}

function findGroup(name: string): number | undefined {
  if (/^\d+$/.test(name)) return Number(name);
  const line = ask("getent", ["group", "--", name]);
  const gid = line?.split(":")[2];
  return gid === undefined ? undefined : Number(gid);
}

function ask(program: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(program, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return undefined;
  }
}
