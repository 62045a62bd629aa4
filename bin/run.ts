// `portico run`: the supervisor in the foreground, from reading the configuration to the last exit.

import { loadConfig, type LoadedConfig } from "../config/load.ts";
import { createLogger, type Logger } from "../log/logger.ts";
import { unblockSignal } from "../posix/signals.ts";
import { takeGivenSockets } from "../supervisor/activation.ts";
import { serveControl, type ControlAnswer, type ControlRequest } from "../supervisor/control.ts";
import { instancePaths, lockInstance, type InstancePaths } from "../supervisor/instance.ts";
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
  const hangups = holdHangups();
  const log = await createLogger({ name: "portico", level: process.env["PORTICO_LOG_LEVEL"] });
  try {
    const loaded = await loadConfig(options.directory);
    const paths = instancePaths(options.directory, loaded.config.global);
    const lock = await lockInstance(paths.pidFile);
    try {
      return await serve(loaded, options, { log, paths, hangups });
    } finally {
      lock.release();
    }
  } catch (error) {
    return reportFailure(error);
  }
}

type Surroundings = {
  readonly log: Logger;
  readonly paths: InstancePaths;
  readonly hangups: HeldHangups;
};

/** From start to end, obeying signals and the control socket. */
async function serve(
  loaded: LoadedConfig,
  options: RunOptions,
  { log, paths, hangups }: Surroundings,
): Promise<number> {
  const notifier = await createNotifier({
    environment: process.env,
    log,
    status: () => supervisor.status(),
  });
  const supervisor = new Supervisor(loaded, {
    ...options,
    givenSockets: await takeGivenSockets(process.env, log),
    load: () => loadConfig(options.directory),
    log,
    onPhase: notifier.enter,
  });
  process.on("SIGTERM", (signal) => supervisor.stop(signal));
  process.on("SIGINT", (signal) => supervisor.stop(signal));
  process.on("SIGUSR1", () => void supervisor.reopen());
  hangups.release(() => void supervisor.reload());
  if (!(await unblockSignal("SIGUSR1")))
    log.info('SIGUSR1 cannot be received here: use "portico reopen"');
  // Before anything serves: a socket that cannot be had is a reason not to start.
  const control = await serveControl(paths, (request) => obey(supervisor, request));
  try {
    await supervisor.start();
    notifier.enter("serving");
    await supervisor.ended;
    return 0;
  } finally {
    await control.close();
    notifier.close();
  }
}

type HeldHangups = { release(action: () => void): void };

/** SIGHUP ends a process that does not expect it. One that comes too early is remembered. */
function holdHangups(): HeldHangups {
  let wasAsked = false;
  let reload: (() => void) | undefined;
  process.on("SIGHUP", () => {
    if (reload) reload();
    else wasAsked = true;
  });
  return {
    release(action) {
      reload = action;
      if (wasAsked) action();
    },
  };
}

async function obey(
  supervisor: Supervisor,
  { command, argument }: ControlRequest,
): Promise<ControlAnswer> {
  switch (command) {
    case "status":
      if (!supervisor.hasServed) return { ok: false, message: "The server is still starting" };
      return { ok: true, message: "", data: supervisor.status() };
    case "reload":
      return supervisor.reload();
    case "reopen":
      return supervisor.reopen();
    case "drain":
      return supervisor.changeWorkers({ kind: "drain", worker: argument });
    case "restart":
      return supervisor.changeWorkers({ kind: "restart" });
    case "scale":
      return supervisor.changeWorkers({ kind: "scale", count: argument });
    case "stop":
      supervisor.stop("portico stop");
      await supervisor.ended;
      return { ok: true, message: "Stopped" };
  }
}
