// What the program itself says it can do: its --help.

import assert from "node:assert/strict";
import { runPortico } from "./server.ts";

export type ListedOption = { readonly short: string; readonly long: string };

/** The names of all commands, "help" included. */
export async function listCommands(): Promise<string[]> {
  const help = await readHelp([]);
  const [, commands = ""] = help.split("\nCommands:\n");
  return [...commands.matchAll(/^ {2}([\w-]+)/gm)].map(([, name = ""]) => name);
}

/** The options of a command; `short` is "" where there is none. */
export async function listOptions(command: string): Promise<ListedOption[]> {
  const help = await readHelp([command]);
  return [...help.matchAll(/^ {2}(?:(-\w), )?(--[\w-]+)/gm)].map(([, short = "", long = ""]) => ({
    short,
    long,
  }));
}

async function readHelp(words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runPortico([...words, "--help"]);
  assert.equal(code, 0, stderr);
  return stdout;
}
