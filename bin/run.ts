// `portico run`: the supervisor in the foreground, from reading the configuration to the last exit.

import { loadConfig, type LoadedConfig } from "../config/load.ts";
import { createLogger, type Logger } from "../log/logger.ts";
import { unblockSignal } from "../posix/signals.ts";
import { serveControl, type ControlAnswer, type ControlCommand } from "../supervisor/control.ts";
import { instancePaths, lockInstance } from "../supervisor/instance.ts";
import { createNotifier } from "../supervisor/notify.ts";
import { Supervisor } from "../supervisor/supervisor.ts";
import { reportFailure } from "./report.ts";

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
  try {
    const paths = instancePaths(options.directory, loaded.config.global);
    const lock = await lockInstance(paths.pidFile);
    try {
      return await serve(loaded, options, { log, controlSocket: paths.controlSocket });
    } finally {
      lock.release();
    }
  } catch (error) {
    return reportFailure(error);
  }
}

/** From start to end, obeying signals and the control socket. */
async function serve(
  loaded: LoadedConfig,
  options: RunOptions,
  { log, controlSocket }: { readonly log: Logger; readonly controlSocket: string },
): Promise<number> {
  const notifier = await createNotifier({
    environment: process.env,
    log,
    status: () => supervisor.status(),
  });
  const supervisor = new Supervisor(loaded, { ...options, log, onPhase: notifier.enter });
  process.on("SIGTERM", (signal) => supervisor.stop(signal));
  process.on("SIGINT", (signal) => supervisor.stop(signal));
  process.on("SIGHUP", () => void supervisor.reload());
  process.on("SIGUSR1", () => void supervisor.reopen());
  if (!(await unblockSignal("SIGUSR1")))
    log.info('SIGUSR1 cannot be received here: use "portico reopen"');
  try {
    await supervisor.start();
    const control = await serveControl(controlSocket, (command) => obey(supervisor, command));
    notifier.enter("serving");
    await supervisor.ended;
    await control.close();
    return 0;
  } finally {
    notifier.close();
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
