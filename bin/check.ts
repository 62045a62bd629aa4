// `portico check`: everything that would keep a configuration from being served, or deserves a look. Nothing is touched.

import { loadConfig, type LoadedConfig } from "../config/load.ts";
import { ConfigError, limitProblems, sortProblems, type Problem } from "../config/problems.ts";
import { printableJson } from "../config/printable.ts";
import { createLogger } from "../log/logger.ts";
import { checkLaunch } from "../supervisor/check.ts";
import { directoryFault } from "./directory.ts";
import { countFindings, formatFinding } from "./report.ts";

export type CheckOptions = {
  readonly directory: string;
  readonly version: string;
  readonly json: boolean;
};

/** Prints what was found. Returns the exit status: 1 when there is any error. */
export async function check(options: CheckOptions): Promise<number> {
  const fault = directoryFault(options.directory);
  if (fault !== undefined && !options.json) {
    console.error(`portico: ${fault}`);
    return 1;
  }
  const { loaded, problems } =
    fault === undefined ? await findProblems(options) : { problems: [asProblem(fault)] };
  const errors = limitProblems(
    sortProblems(problems.filter(({ severity }) => severity === "error")),
  );
  const remarks = limitProblems(
    sortProblems(problems.filter(({ severity }) => severity !== "error")),
  );
  // Errors last: that is where the eye is when a terminal has scrolled.
  const all = [...remarks, ...errors];
  if (options.json) console.log(printableJson(all));
  else {
    for (const problem of all) console.log(formatFinding(problem, process.stdout));
    console.log(summarize(options.directory, loaded, all));
  }
  return errors.length > 0 ? 1 : 0;
}

async function findProblems({
  directory,
  version,
}: CheckOptions): Promise<{ loaded?: LoadedConfig; problems: readonly Problem[] }> {
  try {
    const loaded = await loadConfig(directory);
    const level = process.env["PORTICO_LOG_LEVEL"] ?? "warn";
    const log = await createLogger({ name: "portico", level });
    const found = await checkLaunch(loaded, { version, log });
    return { loaded, problems: [...loaded.remarks.map(judge), ...found] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { problems: [...error.problems, ...error.remarks.map(judge)] };
  }
}

function asProblem(message: string): Problem {
  return { severity: "error", file: "", path: "", message };
}

/** A running server passes over an unknown key, because it may be one of a newer version. Who asks wants to know. */
function judge(problem: Problem): Problem {
  return problem.code === "unknown-key" ? { ...problem, severity: "error" } : problem;
}

function summarize(
  directory: string,
  loaded: LoadedConfig | undefined,
  problems: readonly Problem[],
): string {
  const found = countFindings(problems);
  if (!loaded || problems.some(({ severity }) => severity === "error"))
    return `${directory}: ${found}`;
  const { vhosts } = loaded.config;
  const files = loaded.sources.map(({ file }) => file).join(", ");
  const what = `${vhosts.length} vhost${vhosts.length === 1 ? "" : "s"} in ${files}`;
  return `${directory}: can be served, ${what}${found === "" ? "" : `; ${found}`}`;
}
