// Everything between a configuration that reads well and a generation that serves it. Whatever fails, it leaves no trace.

import { wantedListeners } from "../config/listeners.ts";
import type { LoadedConfig } from "../config/load.ts";
import {
  ConfigError,
  formatProblem,
  limitProblems,
  sortProblems,
  type Problem,
} from "../config/problems.ts";
import type { WorkerUser } from "../ipc/messages.ts";
import type { Logger } from "../log/logger.ts";
import { releaseMemory } from "../posix/memory.ts";
import { BindError } from "./bind.ts";
import { Generation, type GenerationHost } from "./generation.ts";
import { GenerationError } from "./slot.ts";
import type { Listeners, ListenerSet } from "./listeners.ts";
import { createLogFiles } from "./log-files.ts";
import { readPasswordFiles } from "./password-files.ts";
import { readSecrets } from "./secrets.ts";
import type { TicketSecret } from "./tickets.ts";
import { checkSocketOwners, lookupWorkerUser, UnknownUserError } from "./users.ts";

export type LaunchOptions = {
  readonly number: number;
  readonly workers: number;
  readonly version: string;
  readonly tickets: TicketSecret;
  readonly listeners: Listeners;
  readonly log: Logger;
  readonly host: GenerationHost;
  /** Told as soon as the generation exists, before any of its workers does; may throw to stop it there. */
  readonly onCreated: (generation: Generation) => void;
  /** Told when all of its workers serve; may throw GenerationError. */
  readonly onServing: (generation: Generation) => void;
};

/** Brings up one generation. Throws ConfigError, BindError or GenerationError; its sockets are released when it is gone. */
export async function launchGeneration(
  loaded: LoadedConfig,
  options: LaunchOptions,
): Promise<Generation> {
  const { config } = loaded;
  const user = findUser(loaded, (message) => options.log.warn(message));
  checkSocketOwners(loaded);
  const { secrets, remarks } = await readSecrets(loaded);
  const passwords = await readPasswordFiles(loaded);
  for (const remark of limitProblems([...remarks, ...passwords.remarks]))
    options.log.warn(formatProblem(remark));
  createLogFiles(loaded, user);
  const listeners = await bindAll(loaded, user, options);
  const generation = new Generation(
    {
      number: options.number,
      config,
      listeners,
      secrets,
      passwordFiles: passwords.files,
      tickets: options.tickets,
      user,
      workers: options.workers,
      version: options.version,
    },
    options.host,
  );
  try {
    options.onCreated(generation);
    await generation.start();
    await generation.open();
    options.onServing(generation);
    void releaseMemory();
    return generation;
  } catch (error) {
    generation.stop(0);
    generation.kill("its generation could not start");
    throw error instanceof GenerationError ? placeProblems(error, loaded) : error;
  }
}

/** An address that cannot be had is told with the place of its port. */
async function acquire(
  loaded: LoadedConfig,
  user: WorkerUser | undefined,
  listeners: Listeners,
): Promise<ListenerSet> {
  try {
    return await listeners.acquire(wantedListeners(loaded.config), user);
  } catch (error) {
    if (!(error instanceof BindError)) throw error;
    throw new ConfigError(
      error.failures.map(({ vhosts, message }) =>
        loaded.place({ vhost: vhosts[0] ?? -1, path: "port", message }),
      ),
    );
  }
}

async function bindAll(
  loaded: LoadedConfig,
  user: WorkerUser | undefined,
  options: LaunchOptions,
): Promise<ListenerSet> {
  const set = await acquire(loaded, user, options.listeners);
  if (set.lacksIpv6) options.log.info("This host has no IPv6: listening on IPv4 only");
  for (const name of set.missing)
    options.log.warn(`Interface "${name}" is not there yet: its vhosts wait until it is`);
  for (const label of set.idle)
    options.log.warn(`No vhost is on ${label} of LISTEN_FDS: who connects there waits`);
  return set;
}

/** The user that workers become, undefined where they stay who we are. Throws ConfigError. */
export function findUser(
  loaded: LoadedConfig,
  warn: (message: string) => void,
): WorkerUser | undefined {
  let user: WorkerUser | undefined;
  try {
    user = lookupWorkerUser(loaded.config.global);
  } catch (error) {
    if (!(error instanceof UnknownUserError)) throw error;
    throw new ConfigError([loaded.place({ vhost: -1, path: error.key, message: error.message })]);
  }
  const uid = process.getuid?.();
  if (uid === 0 && (user === undefined || user.uid === 0))
    warn(
      'Workers run as root. Set "username" (and "groupname") in "global" to an account that owns nothing',
    );
  if (uid !== 0 && user && user.uid !== uid) {
    warn(`Only root can become user "${user.name || user.uid}": workers stay uid ${uid}`);
    return undefined;
  }
  return user;
}

/** What workers found becomes problems with file, line and column. */
function placeProblems(error: GenerationError, loaded: LoadedConfig): Error {
  if (error.problems.length === 0) return error;
  return new ConfigError(sortProblems(error.problems.map((problem) => loaded.place(problem))));
}

/** The failures that a user can mend, as lines to show; undefined for anything else, which is a bug of ours. */
export function explainFailure(
  error: unknown,
): { readonly message: string; readonly problems: readonly Problem[] } | undefined {
  if (error instanceof ConfigError) {
    const count = error.problems.length;
    const message = `The configuration has ${count} problem${count === 1 ? "" : "s"}`;
    return { message, problems: error.problems };
  }
  if (error instanceof BindError || error instanceof GenerationError)
    return { message: error.message, problems: [] };
  return undefined;
}
