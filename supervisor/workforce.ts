// How many workers serve, and changes of that while the server runs: `portico drain | restart | scale`.

import { availableParallelism } from "node:os";
import { MAX_WORKERS } from "../config/max-workers.ts";
import type { ServerConfig } from "../config/server.ts";
import type { Logger } from "../log/logger.ts";
import type { Generation } from "./generation.ts";
import { GenerationError } from "./slot.ts";

export type WorkerChange =
  /** One worker finishes what it has, once another serves in its place. */
  | { readonly kind: "drain"; readonly worker: number }
  /** The same with every worker, one after the other. */
  | { readonly kind: "restart" }
  /** Workers are added, or some finish what they have. */
  | { readonly kind: "scale"; readonly count: number };

/** Makes a change; returns what was done. Rejects with GenerationError. */
export async function changeWorkers(generation: Generation, change: WorkerChange): Promise<string> {
  switch (change.kind) {
    case "drain": {
      const slot = generation.slotOf(change.worker);
      if (slot === undefined)
        throw new GenerationError(
          `No worker ${change.worker} serves; "portico status" shows their numbers`,
        );
      await generation.replace(slot);
      return `Worker ${change.worker} finishes what it has; another serves in its place`;
    }
    case "restart":
      for (let slot = 0; slot < generation.size; slot += 1) await generation.replace(slot);
      return `Replaced ${workersInWords(generation.size)}`;
    case "scale":
      await generation.resize(change.count);
      return `Serving with ${workersInWords(change.count)}`;
  }
}

/** The number that was given wins over "count-threads"; else one for each processor. */
export function countWorkersWanted(
  given: number | undefined,
  { global }: ServerConfig,
  log: Logger,
): number {
  const cores = Math.min(availableParallelism(), MAX_WORKERS);
  const wanted = given ?? global["count-threads"] ?? cores;
  if (wanted === 1 && cores > 1 && given === undefined)
    log.info(
      `"count-threads" is 1: one worker on a host with ${cores} cores. Leave the key out for one per core`,
    );
  return wanted;
}

/** "1 worker", "2 workers". */
export function workersInWords(count: number): string {
  return `${count} worker${count === 1 ? "" : "s"}`;
}
