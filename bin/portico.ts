// The command line: each command is one call, and loads no more than it needs: a start should not wait for the code of others.

import { readFileSync } from "node:fs";
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import type { ControlCommand } from "../supervisor/control.ts";
import { MAX_WORKERS } from "../config/max-workers.ts";
import { SHELLS, writeCompletion, type Shell } from "./completion.ts";
import { directoryFault, findDirectory } from "./directory.ts";

const CONFIG = [
  "-c, --config <dir>",
  "configuration directory (default: /etc/portico, then /etc/lwsws)",
] as const;

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
  .option(...CONFIG)
  .option("--workers <count>", 'number of workers; wins over "count-threads"', parseWorkers)
  .action((options: { config?: string; workers?: number }) =>
    inDirectory(options.config, async (directory) => {
      const { run } = await import("./run.ts");
      return run({ directory, workers: options.workers, version });
    }),
  );

addControl("status", "show what the running server does")
  .addOption(new Option("--json", "print it as JSON").conflicts("watch"))
  .option("--watch", "draw it anew each second, until q or Ctrl-C");
addControl(
  "reload",
  "read the configuration again and switch to it; nothing changes if it has a problem",
);
addControl("reopen", "open the log files again, after they were renamed");
addControl("drain", "let one worker finish what it has, once another serves in its place").argument(
  "<worker>",
  'its number, as "status" shows it',
  parseWorkerNumber,
);
addControl("restart", "replace every worker so, one after the other");
addControl("scale", "change the number of workers; none that leaves loses a request").argument(
  "<count>",
  `from 1 to ${MAX_WORKERS}`,
  parseWorkers,
);
addControl("stop", "end the server; requests in flight get stop-secs");

program
  .command("check")
  .description(
    "tell everything that is wrong with a configuration, without serving it; exit status 1 if there is an error",
  )
  .option(...CONFIG)
  .option("--json", "print the findings as a JSON array")
  .action(async ({ config, json = false }: { config?: string; json?: boolean }) => {
    const { check } = await import("./check.ts");
    process.exitCode = await check({ directory: findDirectory(config), json, version });
  });

program
  .command("dump")
  .description("show the configuration as it takes effect, each value with the place it comes from")
  .option(...CONFIG)
  .option("--json", "print it as a JSON array")
  .action(({ config, json = false }: { config?: string; json?: boolean }) =>
    inDirectory(config, async (directory) => {
      const { dump } = await import("./dump.ts");
      return dump(directory, json);
    }),
  );

program
  .command("explain")
  .description("show which listener, vhost, mount and file would answer a URL, and why")
  .argument("<url>", 'such as "https://example.com/docs"')
  .option(...CONFIG)
  .option("--json", "print it as a JSON array")
  .action((url: string, { config, json = false }: { config?: string; json?: boolean }) =>
    inDirectory(config, async (directory) => {
      const { explain } = await import("./explain.ts");
      return explain({ directory, url, json });
    }),
  );

program
  .command("schema")
  .description("print the JSON Schema of the configuration files, for editors")
  .option("--markdown", "print the manual of all keys instead, docs/configuration.md")
  .action(async ({ markdown = false }: { markdown?: boolean }) => {
    const { formatSchema } = await import("./schema.ts");
    process.stdout.write(formatSchema(markdown));
  });

program
  .command("init")
  .description("write a commented configuration to start from")
  .argument("<dir>", "a directory that is new or empty")
  .action(async (directory: string) => {
    const { init } = await import("./init.ts");
    process.exitCode = init(directory);
  });

program
  .command("init-plugin")
  .description("write a WebSocket protocol plugin to start from, a project of its own")
  .argument("<name>", "name of the protocol; the directory is portico-plugin-NAME")
  .action(async (name: string) => {
    const { initPlugin } = await import("./init.ts");
    process.exitCode = initPlugin(name);
  });

program
  .command("completion")
  .description("print a script that completes this command line in a shell")
  .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
  .action((shell: Shell) => {
    process.stdout.write(writeCompletion(shell, program));
  });

// Whoever reads may have seen enough, as `head` has.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

await program.parseAsync();

type ControlFlags = {
  readonly config?: string;
  readonly json?: boolean;
  readonly watch?: boolean;
};

function addControl(name: ControlCommand, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option("-c, --config <dir>", "configuration directory of the server")
    .action(async (...given: unknown[]) => {
      // What commander hands over: the arguments, then the options, then the command.
      const argument = given.find((value) => typeof value === "number");
      const { config, json, watch } = given.at(-2) as ControlFlags;
      const { control } = await import("./control.ts");
      process.exitCode = await control(findDirectory(config), {
        command: name,
        ...(argument !== undefined && { argument }),
        json,
        watch,
      });
    });
}

/** Runs a command on the directory that is meant, if there is anything in it. */
async function inDirectory(
  given: string | undefined,
  command: (directory: string) => Promise<number>,
): Promise<void> {
  const directory = findDirectory(given);
  const fault = directoryFault(directory);
  if (fault !== undefined) console.error(`portico: ${fault}`);
  // Set rather than exit(): what is still being written to a pipe gets there.
  process.exitCode = fault === undefined ? await command(directory) : 1;
}

function parseWorkerNumber(text: string): number {
  const worker = Number(text);
  if (/^\d+$/.test(text) && worker >= 1 && Number.isSafeInteger(worker)) return worker;
  throw new InvalidArgumentError('Expected a number of the first column of "portico status".');
}

function parseWorkers(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= MAX_WORKERS) return count;
  throw new InvalidArgumentError(`Expected a whole number from 1 to ${MAX_WORKERS}.`);
}
