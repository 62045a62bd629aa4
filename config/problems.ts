// What is wrong with a configuration, where, and how it is told.

export type Severity = "error" | "warning" | "notice";

/** One finding about the configuration. line and column count from 1. */
export type Problem = {
  readonly severity: Severity;
  /** Relative to the configuration directory, "" when no file is to blame. */
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  /** Path of the value inside the file, such as "vhosts[0].mounts[1].origin". */
  readonly path: string;
  readonly message: string;
  /** The line of the file the position points into. */
  readonly source?: string;
};

/** A problem that a worker found while it provisioned, before it has a position. */
export type ProvisionProblem = {
  /** Index into ServerConfig.vhosts, -1 for "global". */
  readonly vhost: number;
  /** Path below that vhost, such as "mounts[1].origin". */
  readonly path: string;
  readonly message: string;
};

/** The configuration cannot be used; carries every problem found. */
export class ConfigError extends Error {
  readonly code = "CONFIG";
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/** One line: `conf.d/shop:14:17 vhosts[0].mounts[1].origin: Unknown scheme "fil://"`. */
export function formatProblem(problem: Problem): string {
  const position = problem.line === undefined ? "" : `:${problem.line}:${problem.column ?? 1}`;
  const place = [problem.file + position, problem.path].filter((part) => part !== "").join(" ");
  return place === "" ? problem.message : `${place}: ${problem.message}`;
}
