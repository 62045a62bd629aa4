// Password files: only the supervisor reads them, so they may be for root alone, and looks at every line before anything is
// touched. Workers get users and secrets.

import { basename } from "node:path";
import type { LoadedConfig } from "../config/load.ts";
import {
  MAX_PASSWORD_FILE_BYTES,
  parsePasswordFile,
  type PasswordFile,
} from "../config/password-file.ts";
import { ConfigError, sortProblems, type Problem, type Severity } from "../config/problems.ts";
import type { ServerConfig } from "../config/server.ts";
import { readRegularFile } from "./regular-file.ts";

export type ReadPasswordFiles = {
  readonly files: readonly PasswordFile[];
  readonly remarks: readonly Problem[];
};

/** Reads every file that "basic-auth" or "git-push" names. Throws ConfigError with all that keeps one from being used. */
export async function readPasswordFiles(loaded: LoadedConfig): Promise<ReadPasswordFiles> {
  const problems: Problem[] = [];
  const files: PasswordFile[] = [];
  const users = Map.groupBy(placesOf(loaded.config), ({ path }) => path);
  for (const [path, places] of users) {
    const say = (severity: Severity, says: string): void => {
      const message = `The password file ${JSON.stringify(path)} ${says}`;
      for (const { vhost, key } of places)
        problems.push(loaded.place({ vhost, path: key, message }, severity));
    };
    const read = await readText(path);
    if ("fault" in read) {
      say("error", read.fault);
      continue;
    }
    const { users: entries, faults } = parsePasswordFile(read.text);
    for (const { line, severity, message } of faults)
      problems.push({ severity, file: path, line, path: "", message });
    if (entries.length === 0 && faults.length === 0)
      say("warning", "names no user: nobody gets in");
    const shown = showing(path, loaded.config);
    if (shown !== undefined) say("warning", `can be fetched: it lies in ${shown}, which is served`);
    files.push({ path, users: entries });
  }
  const errors = problems.filter((problem) => problem.severity === "error");
  const remarks = sortProblems(problems.filter((problem) => problem.severity !== "error"));
  if (errors.length > 0) throw new ConfigError(sortProblems(errors), remarks);
  return { files, remarks };
}

type Place = { readonly path: string; readonly vhost: number; readonly key: string };

function placesOf({ vhosts }: ServerConfig): Place[] {
  return vhosts.flatMap(({ mounts, "ws-protocols": protocols }, vhost) => {
    const guarded = [...mounts, ...protocols.map(({ path, keys }) => ({ path, ...keys }))];
    const pushed = mounts.flatMap(({ path: at, "git-push": path }) =>
      path === undefined ? [] : [{ path, vhost, key: `${at}.git-push` }],
    );
    const asked = guarded.flatMap(({ path: at, "basic-auth": path }) =>
      path === undefined ? [] : [{ path, vhost, key: `${at}.basic-auth` }],
    );
    return [...asked, ...pushed];
  });
}

async function readText(path: string): Promise<{ text: string } | { fault: string }> {
  try {
    return { text: (await readRegularFile(path, MAX_PASSWORD_FILE_BYTES)).toString() };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EFBIG")
      return { fault: `is too large; at most ${MAX_PASSWORD_FILE_BYTES} bytes are read` };
    return { fault: `cannot be read: ${code === "EINVAL" ? "not a file" : code}` };
  }
}

/** A directory of a file mount that holds the file where clients can see it; files with a dot before their name are not served. */
function showing(path: string, { vhosts }: ServerConfig): string | undefined {
  if (basename(path).startsWith(".")) return undefined;
  for (const { mounts } of vhosts)
    for (const { origin } of mounts)
      if (origin.scheme === "file" && path.startsWith(`${origin.directory.replace(/\/+$/, "")}/`))
        return JSON.stringify(origin.directory);
  return undefined;
}
