// How a worker ends: draining for a newer generation, stopping with the server, or leaving on its own account.
// Requests in flight are finished first; how long that may take is what tells these apart.

import type { ServerConfig } from "../config/server.ts";
import type { Counters } from "./counters.ts";
import type { Site } from "./site.ts";

const MS_PER_SEC = 1_000;
/** Time over which the WebSockets of a draining worker are closed, so that their clients do not return all at once. */
const SPREAD_MS = 10_000;
const POLL_MS = 50;
/** RFC 6455 7.4.1 and the IANA registry. */
const GOING_AWAY = 1001;
const SERVICE_RESTART = 1012;

export type Drain = {
  /** A newer generation serves. */
  drain(): void;
  /** WebSockets of a draining worker end now. */
  shed(): void;
  /** This worker ends on its own account and others serve on: clients are asked to come again, for `withinMs`. */
  leave(withinMs: number): void;
  /** The server ends: within `withinMs`. */
  stop(withinMs: number): void;
};

/** Ends `site` when told to; `onEmpty` is called once, when nothing is connected any more or the time is up. */
export function createDrain(
  site: Site,
  config: ServerConfig,
  counters: Counters,
  onEmpty: () => void,
): Drain {
  let state: "open" | "draining" | "stopping" | "empty" = "open";
  const timers: NodeJS.Timeout[] = [];

  function empty(): void {
    if (state === "empty") return;
    state = "empty";
    for (const timer of timers) clearTimeout(timer);
    onEmpty();
  }

  function after(ms: number, action: () => void): void {
    timers.push(setTimeout(action, ms));
  }

  function closeDoors(): void {
    for (const { acceptor } of site.acceptors) acceptor.close();
    site.front.drain();
    timers.push(
      setInterval(() => {
        if (counters.openConnections === 0) empty();
      }, POLL_MS),
    );
  }

  return {
    drain() {
      if (state !== "open") return;
      state = "draining";
      closeDoors();
      const defaultSecs = config.global["drain-secs"];
      const limits = site.vhosts.map((vhost) => vhost["drain-secs"] ?? defaultSecs);
      for (const [index, secs] of limits.entries()) {
        const vhost = site.vhosts[index];
        after(secs * MS_PER_SEC, () => {
          site.upgrader.closeAll(SERVICE_RESTART, "Reloaded", SPREAD_MS, vhost);
          site.raw.closeAll(vhost);
        });
      }
      after(Math.max(defaultSecs, ...limits) * MS_PER_SEC + SPREAD_MS, empty);
    },
    shed() {
      site.upgrader.closeAll(SERVICE_RESTART, "Reloaded", 0);
      site.raw.closeAll();
    },
    leave(withinMs) {
      if (state === "stopping" || state === "empty") return;
      if (state === "open") closeDoors();
      state = "draining";
      site.upgrader.closeAll(SERVICE_RESTART, "Worker ends", 0);
      after(withinMs, empty);
    },
    stop(withinMs) {
      if (state === "stopping" || state === "empty") return;
      if (state === "open") closeDoors();
      state = "stopping";
      site.upgrader.closeAll(GOING_AWAY, "Server stops", 0);
      site.front.closeIdle();
      after(withinMs, empty);
    },
  };
}
