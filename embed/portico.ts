// Portico as a library: the same supervisor and workers as `portico run`, with the configuration as an object.
// The program that calls start() is the supervisor: it owns the sockets, and serves nothing itself.

import { readFileSync } from "node:fs";
import type { GivenConfig, GivenVhost } from "../config/given.ts";
import { loadObject } from "../config/load.ts";
import type { Board } from "../ipc/board.ts";
import { createLogger } from "../log/logger.ts";
import { Supervisor } from "../supervisor/supervisor.ts";

export type { GivenConfig, GivenMount, GivenProtocol, GivenVhost } from "../config/given.ts";
export { ConfigError, type Problem } from "../config/problems.ts";
export type { Board } from "../ipc/board.ts";

/** Keys that only `portico run` has a use for. */
const COMMAND_KEYS = ["pid-file", "control-socket"] as const;

export type StartOptions = {
  /** Where relative paths start; the working directory by default. */
  readonly directory?: string;
  /** Number of workers; wins over "count-threads". */
  readonly workers?: number;
  /** What is logged to stderr: "trace" to "fatal", or "silent"; "warn" by default. */
  readonly logLevel?: string;
};

/** The configuration was refused and nothing has changed; the message says why, a line for each problem. */
export class ReconfigureError extends Error {
  readonly code = "RECONFIGURE";
}

export interface PorticoServer {
  /** Serves this configuration instead, without losing a connection. Throws ReconfigureError, and serves on as before. */
  reconfigure(config: GivenConfig): Promise<void>;
  /** Adds a vhost behind the others. Throws as reconfigure(). */
  addVhost(vhost: GivenVhost): Promise<void>;
  /** Removes every vhost of that name. False when there was none. */
  removeVhost(name: string): Promise<boolean>;
  /** What the server does: vhosts, workers, counters. */
  status(): Board;
  /** "http://127.0.0.1:7681": a vhost by name, the first one by default, at an address of this machine. */
  url(vhost?: string): string;
  /** Ends the server; requests in flight get "stop-secs". */
  stop(): Promise<void>;
}

/** Starts a server. Throws ConfigError for a configuration that cannot be used, BindError or GenerationError for one that cannot be served. */
export async function start(
  config: GivenConfig = {},
  options: StartOptions = {},
): Promise<PorticoServer> {
  const { directory = process.cwd(), workers, logLevel = "warn" } = options;
  const log = await createLogger({ name: "portico", level: logLevel });
  let given = structuredClone(config);
  const load = (): ReturnType<typeof loadObject> => loadObject(given, directory);
  const loaded = await load();
  for (const key of COMMAND_KEYS)
    if (loaded.config.global[key] !== undefined)
      log.warn(`"${key}" has no effect here: it serves the command line`);
  const version = ownVersion();
  const sharesProcess = true;
  const supervisor = new Supervisor(loaded, { load, version, log, workers, sharesProcess });
  await supervisor.start();

  /** One change after the other: each starts from what the one before it left. */
  let changes: Promise<unknown> = Promise.resolve();
  function change(revise: (current: GivenConfig) => GivenConfig | undefined): Promise<void> {
    const changed = changes.then(async () => {
      const before = given;
      const wanted = revise(before);
      if (!wanted) return;
      given = structuredClone(wanted);
      const { ok, message } = await supervisor.reload();
      if (ok) return;
      given = before;
      throw new ReconfigureError(message);
    });
    changes = changed.catch(() => undefined);
    return changed;
  }

  return {
    reconfigure: (wanted) => change(() => wanted),
    addVhost: (vhost) =>
      change((current) => ({ ...current, vhosts: [...(current.vhosts ?? []), vhost] })),
    async removeVhost(name) {
      let isFound = false;
      await change((current) => {
        const kept = current.vhosts?.filter((vhost) => vhost.name !== name) ?? [];
        isFound = kept.length < (current.vhosts?.length ?? 0);
        return isFound ? { ...current, vhosts: kept } : undefined;
      });
      return isFound;
    },
    status: () => supervisor.status(),
    url: (vhost) => urlOf(supervisor.status(), vhost),
    async stop() {
      supervisor.stop("stop()");
      await supervisor.ended;
    },
  };
}

function urlOf({ vhosts, listeners }: Board, name: string | undefined): string {
  const wanted = name === undefined ? vhosts[0] : vhosts.find((vhost) => vhost.name === name);
  const listener = listeners.find((one) => wanted && one.vhosts.includes(wanted.name));
  if (!wanted || !listener) throw new Error(`No vhost ${name ?? ""} listens anywhere`);
  const scheme = listener.secure ? "https" : "http";
  const port = /:(\d+)$/.exec(listener.address)?.[1];
  if (port === undefined) throw new Error(`${listener.address} is no address of a URL`);
  const host = listener.address.slice(0, -port.length - 1);
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "[::]" ? "[::1]" : host;
  return `${scheme}://${reachable}:${port}`;
}

function ownVersion(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
