// Starts the program of one request, within the limits of its mount, and says what a failed start is to the client.

import { access, constants, stat } from "node:fs/promises";
import { join } from "node:path";
import type { MountConfig } from "../../../config/mount.ts";
import type { Logger } from "../../../log/logger.ts";
import type { Child, Environment, Starter } from "../../../posix/child.ts";
import { HttpError } from "../../http/exchange.ts";
import { findProgram, type Script } from "./script.ts";

export type Launch = (
  script: Script,
  environment: Environment,
  stdin: "pipe" | "none",
) => Promise<Child>;

export type LimitKeys = Pick<
  MountConfig,
  "cgi-chroot" | "cgi-rlimit-cpu" | "cgi-rlimit-memory" | "cgi-rlimit-nofile" | "cgi-rlimit-fsize"
>;

/** What a program is started through: the words before its own path. */
export type Wrapper = readonly string[];

const MIB = 1024 * 1024;

/**
 * The way to a program with limits of its own. They are set by a program of util-linux between the start and the program
 * itself, because a limit set from outside would come after its first instructions. A root directory is changed inside a
 * user namespace, which gives the right to do so and takes it away again before the program runs.
 */
export function wrapperFor(keys: LimitKeys, cwd: string): Wrapper {
  const limits = [
    ["--cpu", keys["cgi-rlimit-cpu"]],
    ["--as", scaled(keys["cgi-rlimit-memory"], MIB)],
    ["--nofile", keys["cgi-rlimit-nofile"]],
    ["--fsize", scaled(keys["cgi-rlimit-fsize"], MIB)],
    // A core of a program that ran into its limit would fill the disk of a directory that is served.
    ["--core", 0],
  ] as const;
  const words = limits.flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
  const prefix: string[] = words.length > 1 ? ["prlimit", ...words, "--"] : [];
  const root = keys["cgi-chroot"];
  if (root === undefined) return prefix;
  return [...prefix, "unshare", "--map-current-user", `--root=${root}`, `--wd=${cwd}`, "--"];
}

function scaled(value: number | undefined, unit: number): number | undefined {
  return value === undefined ? undefined : value * unit;
}

export type LauncherOptions = {
  readonly starter: Starter;
  /** Of the program, inside its root directory. */
  readonly cwd: string;
  readonly wrapper: Wrapper;
  readonly chroot: string | undefined;
  readonly log: Logger;
  /** For a server that can start nothing more at the moment. */
  readonly busy: (cause: unknown) => HttpError;
};

/** Finds what programs are started through; rejects with the sentence that says why it cannot be done here. */
export async function createLauncher(options: LauncherOptions): Promise<Launch> {
  const { starter, chroot, log, busy } = options;
  const wrapper = await locateWrapper(options.wrapper);
  const cwd = chroot === undefined ? options.cwd : "/";

  return async (script, environment, stdin) => {
    const [program = script.program, ...args] = [...wrapper, script.program, ...script.args];
    try {
      // Through a wrapper a missing program would only be seen as an odd exit status.
      if (wrapper.length > 0) await look(join(chroot ?? "/", script.program));
      return await starter.start({ program, args, environment, cwd, stdin });
    } catch (error) {
      log.error(`Cannot start "${script.program}": ${errorCode(error)}`);
      throw await refusalFor(error, join(chroot ?? "/", script.program), busy);
    }
  };
}

async function locateWrapper(words: Wrapper): Promise<Wrapper> {
  const located: string[] = [];
  for (const [index, word] of words.entries()) {
    const isProgram = index === 0 || words[index - 1] === "--";
    const path = isProgram ? await findProgram(word) : word;
    if (path === undefined) throw new Error(`it takes the program ${word} of util-linux`);
    located.push(path);
  }
  return located;
}

/** Rejects as a start would. */
async function look(program: string): Promise<void> {
  await access(program, constants.X_OK);
  if ((await stat(program)).isFile()) return;
  throw Object.assign(new Error(`Not a file: "${program}"`), { code: "EACCES" });
}

async function refusalFor(
  cause: unknown,
  program: string,
  busy: (cause: unknown) => HttpError,
): Promise<HttpError> {
  switch (errorCode(cause)) {
    case "ENOENT": // Also a missing interpreter, or a missing working directory.
      return (await isThere(program))
        ? new HttpError(502, "The program cannot be started", { cause })
        : new HttpError(404, "There is no such program", { cause });
    case "E2BIG":
      return new HttpError(431, "The request is too long for a program's environment", { cause });
    case "EAGAIN":
    case "EMFILE":
    case "ENFILE":
    case "ENOMEM":
      return busy(cause);
    default:
      return new HttpError(502, "The program cannot be started", { cause });
  }
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
