// Looks once a second whether a descriptor is left. Where Node accepts nobody tells when none is: libuv takes and closes the
// clients that cannot be had without a word.

import { closeSync, openSync } from "node:fs";
import type { Logger } from "../log/logger.ts";

const LOOK_MS = 1_000;

/** Calls `makeRoom` each time none is left; returns how to stop. */
export function watchDescriptors(log: Logger, makeRoom: () => void): () => void {
  const timer = setInterval(() => {
    try {
      closeSync(openSync("/dev/null", "r"));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EMFILE" && code !== "ENFILE") return;
      log.error(`Cannot open one more file: ${code}`);
      makeRoom();
    }
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
