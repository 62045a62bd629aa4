// The signal mask of this process.

import { constants } from "node:os";
import { openLibc } from "./native.mjs";

/** SIG_UNBLOCK of <signal.h>. */
const SIG_UNBLOCK = process.platform === "darwin" ? 2 : 1;
/** More than sizeof(sigset_t) anywhere. */
const SIGSET_BYTES = 128;

/**
 * Lets a signal through that Node blocked. `--disable-sigusr1` (Node 26.10) blocks SIGUSR1 in every thread, so that a
 * listener for it would never be called. False where it cannot be done.
 */
export async function unblockSignal(signal: NodeJS.Signals): Promise<boolean> {
  const native = await openLibc();
  if (!native) return false;
  const { libc } = native;
  const set = Buffer.alloc(SIGSET_BYTES);
  const sigemptyset = libc.func("int sigemptyset(void* set)");
  const sigaddset = libc.func("int sigaddset(void* set, int signal)");
  const mask = libc.func("int pthread_sigmask(int how, void* set, void* old)");
  sigemptyset(set);
  sigaddset(set, constants.signals[signal]);
  return mask(SIG_UNBLOCK, set, null) === 0;
}
