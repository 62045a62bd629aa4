// `portico run`: the supervisor in the foreground, from reading the configuration to the last exit.

import { existsSync } from "node:fs";
import { loadConfig, type LoadedConfig } from "../config/load.ts";
import { ConfigError, formatProblemWithSource } from "../config/problems.ts";
import { createLogger } from "../log/logger.ts";
import { unblockSignal } from "../posix/signals.ts";
import { serveControl, type ControlAnswer, type ControlCommand } from "../supervisor/control.ts";
import { InstanceError, instancePaths, lockInstance } from "../supervisor/instance.ts";
import { explainFailure } from "../supervisor/launch.ts";
import { Supervisor } from "../supervisor/supervisor.ts";

const DEFAULT_DIRECTORIES = ["/etc/portico", "/etc/lwsws"];

/** The configuration directory: the one given, else the first default that exists. */
export function findDirectory(given: string | undefined): string {
  return given ?? DEFAULT_DIRECTORIES.find((directory) => existsSync(directory)) ?? "/etc/portico";
}

export type RunOptions = {
  readonly directory: string;
  readonly workers: number | undefined;
  readonly version: string;
};

/** Runs until the server ends. Returns the exit status. */
export async function run(options: RunOptions): Promise<number> {
  const log = await createLogger({
    name: "portico",
    level: process.env["PORTICO_LOG_LEVEL"] ?? "info",
  });
  let loaded: LoadedConfig;
  try {
    loaded = await loadConfig(options.directory);
  } catch (error) {
    return reportFailure(error);
  }
  const paths = instancePaths(options.directory, loaded.config.global);
  try {
    const lock = await lockInstance(paths.pidFile);
    const supervisor = new Supervisor({ ...options, log });
    // From here on a signal is an order to the supervisor, also while it starts.
    process.on("SIGTERM", (signal) => supervisor.stop(signal));
    process.on("SIGINT", (signal) => supervisor.stop(signal));
    process.on("SIGHUP", () => void supervisor.reload());
    process.on("SIGUSR1", () => void supervisor.reopen());
    if (!(await unblockSignal("SIGUSR1")))
      log.info('SIGUSR1 cannot be received here: use "portico reopen"');
    try {
      await supervisor.start(loaded);
      const control = await serveControl(paths.controlSocket, (command) =>
        obey(supervisor, command),
      );
      await supervisor.ended;
      await control.close();
      return 0;
    } finally {
      lock.release();
    }
  } catch (error) {
    return reportFailure(error);
  }
}

async function obey(supervisor: Supervisor, command: ControlCommand): Promise<ControlAnswer> {
  switch (command) {
    case "status":
      return { ok: true, message: "", data: supervisor.status() };
    case "reload":
      return supervisor.reload();
    case "reopen":
      return supervisor.reopen();
    case "stop":
      supervisor.stop("portico stop");
      await supervisor.ended;
      return { ok: true, message: "Stopped" };
  }
}

/** Tells people what is wrong and where. Our own bugs are thrown on. */
function reportFailure(error: unknown): number {
  const { message, problems } =
    error instanceof InstanceError
      ? { message: error.message, problems: [] }
      : explainFailure(error);
  const remarks = error instanceof ConfigError ? error.remarks : [];
  for (const problem of [...problems, ...remarks]) console.error(formatProblemWithSource(problem));
  console.error(`portico: ${message}`);
  return 1;
}
