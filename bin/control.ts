// `portico status | reload | reopen | stop`: one question to the server that runs a configuration directory.

import { existsSync } from "node:fs";
import { loadConfig } from "../config/load.ts";
import { ConfigError } from "../config/problems.ts";
import { printableJson } from "../config/printable.ts";
import type { Board } from "../ipc/stats.ts";
import {
  askControl,
  ControlError,
  type ControlAnswer,
  type ControlCommand,
} from "../supervisor/control.ts";
import { InstanceError, instancePaths } from "../supervisor/instance.ts";
import { directoryFault } from "./directory.ts";
import { formatStatus } from "./format-status.ts";

/** Asks the running server and prints its answer. Returns the exit status. */
export async function control(
  command: ControlCommand,
  directory: string,
  asJson: boolean,
): Promise<number> {
  try {
    const answer = await ask(directory, command);
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

/**
 * The configuration may be broken right now, or name another socket than the server that runs: then it is found at the
 * place that every server of this directory links to.
 */
async function ask(directory: string, command: ControlCommand): Promise<ControlAnswer> {
  const { knownSocket } = instancePaths(directory);
  const configured = await configuredSocket(directory);
  if (configured === undefined || configured === knownSocket)
    return askControl(knownSocket, command);
  try {
    return await askControl(configured, command);
  } catch (error) {
    if (!(error instanceof ControlError) || !existsSync(knownSocket)) throw error;
    return askControl(knownSocket, command);
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
