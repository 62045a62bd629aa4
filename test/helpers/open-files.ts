// What the supervisor of a server has open, for tests that something is closed again.

import { readdirSync, readlinkSync } from "node:fs";
import type { Portico } from "./server.ts";

/** Its open files, but for those it measures its workers by; none where there is no /proc. */
export function openFiles({ pid }: Portico): string[] {
  if (process.platform !== "linux") return [];
  const all = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return []; // It was closed meanwhile.
    }
  });
  return all.filter((target) => !target.startsWith("/proc/"));
}
