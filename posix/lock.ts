// A lock on an open file (flock(2)): held while its process lives, gone with it, however it ends.

import { openLibc } from "./native.mjs";

const LOCK_EX = 2;
const LOCK_NB = 4;

/** Locks the open file `fd`: true if we have it now, false if another process has, undefined where it cannot be told. */
export async function lockFile(fd: number): Promise<boolean | undefined> {
  const native = await openLibc();
  if (!native) return undefined;
  try {
    const flock = native.libc.func("int flock(int fd, int operation)");
    return flock(fd, LOCK_EX | LOCK_NB) === 0;
  } catch {
    return undefined;
  }
}
