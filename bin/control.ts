// `portico status | reload | reopen | drain | restart | scale | stop`: one question to the server that runs a configuration directory.

import { existsSync } from "node:fs";
import { loadConfig } from "../config/load.ts";
import { ConfigError } from "../config/problems.ts";
import { printableJson } from "../config/printable.ts";
import type { Board } from "../ipc/board.ts";
import {
  askControl,
  ControlError,
  type ControlAnswer,
  type ControlCommand,
} from "../supervisor/control.ts";
import { InstanceError, instancePaths } from "../supervisor/instance.ts";
import { directoryFault } from "./directory.ts";
import { formatStatus } from "./format-status.ts";
import { watchStatus } from "./watch.ts";

export type ControlOptions = {
  readonly command: ControlCommand;
  /** For those that take one. */
  readonly argument?: number;
  readonly json?: boolean | undefined;
  /** "status" goes on until somebody ends it. */
  readonly watch?: boolean | undefined;
};

/** Asks the running server and prints its answer. Returns the exit status. */
export async function control(directory: string, options: ControlOptions): Promise<number> {
  const { command, argument = 0, json: asJson = false, watch = false } = options;
  try {
    if (watch) return await watchServer(directory);
    const answer = await ask(directory, command, argument);
    if (answer.ok && answer.data !== undefined)
      console.log(asJson ? printableJson(answer.data) : formatStatus(answer.data as Board));
    else (answer.ok ? console.log : console.error)(answer.message);
    return answer.ok ? 0 : 1;
  } catch (error) {
    if (!(error instanceof ControlError || error instanceof InstanceError)) throw error;
    const fault = existsSync(directory) ? undefined : directoryFault(directory);
    console.error(`portico: ${fault ?? error.message}`);
    return 1;
  }
}

async function watchServer(directory: string): Promise<number> {
  const { stdin: input, stdout: output } = process;
  if (!output.isTTY) {
    console.error("portico: --watch needs a terminal");
    return 1;
  }
  await watchStatus(
    async () => {
      const { ok, message, data } = await ask(directory, "status", 0);
      if (!ok) throw new ControlError(message);
      return data as Board;
    },
    { input, output },
  );
  return 0;
}

/**
 * The configuration may be broken right now, or name another socket than the server that runs: then it is found at the
 * place that every server of this directory links to.
 */
async function ask(
  directory: string,
  command: ControlCommand,
  argument: number,
): Promise<ControlAnswer> {
  const { knownSocket } = instancePaths(directory);
  const configured = await configuredSocket(directory);
  if (configured === undefined || configured === knownSocket)
    return askControl(knownSocket, command, argument);
  try {
    return await askControl(configured, command, argument);
  } catch (error) {
    if (!(error instanceof ControlError) || !existsSync(knownSocket)) throw error;
    return askControl(knownSocket, command, argument);
  }
}

async function configuredSocket(directory: string): Promise<string | undefined> {
  try {
    const { config } = await loadConfig(directory);
    return instancePaths(directory, config.global).controlSocket;
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}
