// How many files this process may have open, sockets among them (RLIMIT_NOFILE).

import { readFileSync } from "node:fs";
import { openLibc } from "./native.mjs";

/** Linux, on every machine Node runs on but MIPS, SPARC and Alpha. */
const RLIMIT_NOFILE = 7;
const WORD_BYTES = 8;

/** The limit that holds now; undefined where it cannot be known. */
export function openFilesLimit(): number | undefined {
  try {
    const limits = readFileSync("/proc/self/limits", "latin1");
    const soft = /^Max open files +(\d+|unlimited)/m.exec(limits)?.[1];
    return soft === undefined || soft === "unlimited" ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}

/** Sets it, for this process and those it starts. False where that is not allowed or cannot be done here. */
export async function limitOpenFiles(files: number): Promise<boolean> {
  if (process.platform !== "linux") return false;
  const native = await openLibc();
  if (!native) return false;
  const setrlimit = native.libc.func("int setrlimit(int resource, const void* limit)");
  const limit = Buffer.alloc(2 * WORD_BYTES);
  limit.writeBigUInt64LE(BigInt(files), 0);
  limit.writeBigUInt64LE(BigInt(files), WORD_BYTES);
  return setrlimit(RLIMIT_NOFILE, limit) === 0;
}
