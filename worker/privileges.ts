// Gives up root before anything of the user's is loaded. In the worker itself rather than at spawn, so that the process
// cannot be traced by others of the same user: after setuid it is not dumpable.

import type { WorkerUser } from "../ipc/messages.ts";

/** process.initgroups(3), which the type declarations lack. */
type WithInitgroups = { initgroups?: (user: string, extraGroup: number) => void };

/** Becomes `user` for good: groups, gid, uid, in this order. Throws when anything of it did not happen. */
export function dropPrivileges(user: WorkerUser): void {
  const { initgroups } = process as WithInitgroups;
  if (!process.setuid || !process.setgid || !initgroups || !process.setgroups || !process.getuid)
    throw new Error("This platform has no users to change to");
  if (process.getuid() === user.uid && process.getgid?.() === user.gid) return;
  if (user.name === "") process.setgroups([user.gid]);
  else initgroups(user.name, user.gid);
  process.setgid(user.gid);
  process.setuid(user.uid);
  if (process.getuid() !== user.uid || process.getgid?.() !== user.gid)
    throw new Error(`Still uid ${process.getuid()} after becoming ${user.uid}`);
  if (user.uid !== 0 && canBecomeRoot()) throw new Error("Could become root again");
}

function canBecomeRoot(): boolean {
  try {
    process.setuid?.(0);
    return true;
  } catch {
    return false;
  }
}
