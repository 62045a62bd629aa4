// The command line: each command is one call.

import { readFileSync } from "node:fs";
import { Argument, Command, InvalidArgumentError } from "commander";
import { loadConfig } from "../config/load.ts";
import { ConfigError } from "../config/problems.ts";
import type { Board } from "../ipc/stats.ts";
import { askControl, ControlError, type ControlCommand } from "../supervisor/control.ts";
import { InstanceError, instancePaths } from "../supervisor/instance.ts";
import { SHELLS, writeCompletion, type Shell } from "./completion.ts";
import { formatStatus } from "./format-status.ts";
import { init } from "./init.ts";
import { findDirectory, run } from "./run.ts";

const MAX_WORKERS = 1024;

const { version } = JSON.parse(
  readFileSync(new URL("../package.json", import.meta.url), "utf8"),
) as { version: string };

const program = new Command("portico")
  .description(
    "A multi-process web server: virtual hosts, mounts, CGI and WebSocket protocols, all from JSON.",
  )
  .version(version)
  .showHelpAfterError()
  .configureHelp({ showGlobalOptions: true });

program
  .command("run")
  .description("serve in the foreground; SIGHUP reloads, SIGUSR1 reopens logs, SIGTERM stops")
  .option("-c, --config <dir>", "configuration directory (default: /etc/portico, then /etc/lwsws)")
  .option("--workers <count>", 'number of workers; wins over "count-threads"', parseWorkers)
  .action(async (options: { config?: string; workers?: number }) => {
    // Set rather than exit(): what is still being written to a pipe gets there.
    process.exitCode = await run({
      directory: findDirectory(options.config),
      workers: options.workers,
      version,
    });
  });

addControl("status", "show what the running server does").option("--json", "print it as JSON");
addControl(
  "reload",
  "read the configuration again and switch to it; nothing changes if it has a problem",
);
addControl("reopen", "open the log files again, after they were renamed");
addControl("stop", "end the server; requests in flight get stop-secs");

program
  .command("init")
  .description("write a commented configuration to start from")
  .argument("<dir>", "a directory that is new or empty")
  .action((directory: string) => {
    process.exitCode = init(directory);
  });

program
  .command("completion")
  .description("print a script that completes this command line in a shell")
  .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
  .action((shell: Shell) => {
    process.stdout.write(writeCompletion(shell, program));
  });

await program.parseAsync();

function addControl(name: ControlCommand, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option("-c, --config <dir>", "configuration directory of the server")
    .action(async (options: { config?: string; json?: boolean }) => {
      process.exitCode = await control(name, findDirectory(options.config), options.json ?? false);
    });
}

/** Asks the running server and prints its answer. Returns the exit status. */
async function control(
  command: ControlCommand,
  directory: string,
  asJson: boolean,
): Promise<number> {
  try {
    const answer = await askControl(await findControlSocket(directory), command);
    if (answer.ok && answer.data !== undefined)
      console.log(
        asJson ? JSON.stringify(answer.data, undefined, 2) : formatStatus(answer.data as Board),
      );
    else (answer.ok ? console.log : console.error)(answer.message);
    return answer.ok ? 0 : 1;
  } catch (error) {
    if (!(error instanceof ControlError || error instanceof InstanceError)) throw error;
    console.error(`portico: ${error.message}`);
    return 1;
  }
}

/** The configuration may be broken right now; its server is reachable all the same, at the default place. */
async function findControlSocket(directory: string): Promise<string> {
  try {
    const { config } = await loadConfig(directory);
    return instancePaths(directory, config.global).controlSocket;
  } catch (error) {
    if (error instanceof ConfigError) return instancePaths(directory).controlSocket;
    throw error;
  }
}

function parseWorkers(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= MAX_WORKERS) return count;
  throw new InvalidArgumentError(`Expected a whole number from 1 to ${MAX_WORKERS}.`);
}
