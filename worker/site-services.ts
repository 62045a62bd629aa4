// What a worker lends to the site it runs: its channel to the other workers, its counters, its log.

import type { Configuration } from "../ipc/messages.ts";
import type { Logger } from "../log/logger.ts";
import type { Activity } from "./activity.ts";
import type { BoardClient } from "./board-client.ts";
import type { BusClient } from "./bus.ts";
import type { Counters } from "./counters.ts";
import type { Health } from "./health.ts";
import type { StoreClient } from "./store.ts";

export type SiteServices = {
  readonly configuration: Configuration;
  readonly counters: Counters;
  readonly log: Logger;
  readonly bus: BusClient;
  readonly store: StoreClient;
  readonly activity: Activity;
  /** Asks for log files that are gone. */
  readonly askForLogs: () => void;
  readonly board: Pick<BoardClient, "watch" | "readHistory">;
  readonly health: Health;
};
