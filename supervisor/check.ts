// Whether a configuration that reads well could be served: everything a start does short of binding an address, making
// a file or taking the lock, so that it can be asked beside a server that runs.

import { accessSync, closeSync, constants, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { wantedListeners } from "../config/listeners.ts";
import type { LoadedConfig } from "../config/load.ts";
import { ConfigError, type Problem, type Severity } from "../config/problems.ts";
import type { Logger } from "../log/logger.ts";
import { openHandovers } from "../posix/handover.ts";
import { resolveAddresses } from "./addresses.ts";
import { NO_BALANCER } from "./balancer.ts";
import { Generation } from "./generation.ts";
import { GenerationError } from "./slot.ts";
import { findUser } from "./launch.ts";
import type { ListenerSet } from "./listeners.ts";
import { readPasswordFiles } from "./password-files.ts";
import { readSecrets } from "./secrets.ts";
import { createTicketSecret } from "./tickets.ts";
import { checkSocketOwners } from "./users.ts";
import type { GenerationSpec } from "./worker-source.ts";

/** A plugin that does not let its worker end gets this long. */
const END_MS = 2_000;

/** Provisions the configuration in one throw-away worker under the configured user. Returns all that was found. */
export async function checkLaunch(
  loaded: LoadedConfig,
  { version, log }: { readonly version: string; readonly log: Logger },
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const note = (severity: Severity, message: string): void =>
    void problems.push({ severity, file: "", path: "", message });
  const attempt = async <T>(step: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await step();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems, ...error.remarks);
      return undefined;
    }
  };

  const user = await attempt(() => ({ is: findUser(loaded, (text) => note("warning", text)) }));
  await attempt(() => checkSocketOwners(loaded));
  if (loaded.config.global.distribution === "balanced" && !(await openHandovers()))
    problems.push(loaded.place({ vhost: -1, path: "distribution", message: NO_BALANCER }));
  const read = await attempt(() => readSecrets(loaded));
  const passwords = await attempt(() => readPasswordFiles(loaded));
  const remarks = [...(read?.remarks ?? []), ...(passwords?.remarks ?? [])];
  problems.push(...remarks, ...findLogFaults(loaded));
  const { plans, missing, lacksIpv6 } = resolveAddresses(wantedListeners(loaded.config));
  for (const name of missing)
    note("warning", `Interface "${name}" is not there yet: its vhosts would wait until it is`);
  if (lacksIpv6) note("notice", "This host has no IPv6: it would be served on IPv4 only");
  // As somebody else the worker would find other things.
  if (!user) return problems;

  // A worker wants a descriptor for each socket; as it is never told to listen, any will do.
  const fd = openSync("/dev/null", "r");
  try {
    const listeners = plans.map((plan) => {
      const port = plan.address.kind === "tcp" ? plan.address.port : 0;
      return { ...plan, bound: plan.key, port, fd };
    });
    const spec = {
      number: 1,
      config: loaded.config,
      listeners: { listeners, missing, lacksIpv6, idle: [] } satisfies ListenerSet,
      secrets: read?.secrets ?? [],
      passwordFiles: passwords?.files ?? [],
      tickets: createTicketSecret(),
      user: user.is,
      workers: 1,
      version,
      isProbe: true,
    } as const;
    problems.push(...(await provision(spec, loaded, log)));
  } finally {
    closeSync(fd);
  }
  return problems;
}

/** Starts the worker, waits for its answer and for its end. */
async function provision(
  spec: GenerationSpec,
  loaded: LoadedConfig,
  log: Logger,
): Promise<Problem[]> {
  const generation = new Generation(spec, {
    log,
    nextWorkerId: () => 1,
    makeActivity: () => undefined,
    makeHandover: () => undefined,
    onRestart() {},
    onJoined() {},
    onGone() {},
    events: {
      connected() {},
      withdrawn() {},
      connections() {},
      store() {},
      sample() {},
      watch() {},
      recall() {},
      subscribe() {},
      publish() {},
      reopened() {},
      logsLost() {},
      exit() {},
    },
  });
  try {
    await generation.start();
    return [];
  } catch (error) {
    if (!(error instanceof GenerationError)) throw error;
    if (error.problems.length > 0) return error.problems.map((found) => loaded.place(found));
    return [{ severity: "error", file: "", path: "", message: error.message }];
  } finally {
    generation.stop(0);
    const timer = setTimeout(() => generation.kill("did not end"), END_MS);
    await generation.gone;
    clearTimeout(timer);
  }
}

/** Access logs that could not be made or written; none is. */
function findLogFaults(loaded: LoadedConfig): Problem[] {
  return loaded.config.vhosts.flatMap((vhost, index) => {
    const path = vhost["access-log"];
    const fault = path === undefined ? undefined : findLogFault(path);
    if (fault === undefined) return [];
    const message = `Cannot open "${path}": ${fault}`;
    return [loaded.place({ vhost: index, path: "access-log", message })];
  });
}

function findLogFault(path: string): string | undefined {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found?.isDirectory()) return "EISDIR";
    if (found) accessSync(path, constants.W_OK);
    else accessSync(dirname(path), constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}
