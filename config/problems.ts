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
  /** For programs; `check` makes an error of an unknown key. */
  readonly code?: "unknown-key";
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

/** Takes one finding; what a reading step does not report it has accepted. */
export type Report = (problem: Problem) => void;

/** The configuration cannot be used; carries every error found. */
export class ConfigError extends Error {
  readonly code = "CONFIG";
  readonly problems: readonly Problem[];
  /** What else was noticed on the way: warnings and notices. */
  readonly remarks: readonly Problem[];
  constructor(problems: readonly Problem[], remarks: readonly Problem[] = []) {
    super(problems.map(formatProblem).join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
    this.remarks = remarks;
  }
}

/** A generated file with a mistake on every line must not flood the log. */
const MAX_PROBLEMS = 1_000;

/** In order of file and position, each finding once, the first thousand of them. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  const seen = new Map<string, Problem>();
  for (const problem of problems) {
    const key = `${problem.severity} ${formatProblem(problem)}`;
    if (!seen.has(key)) seen.set(key, problem);
  }
  const sorted = [...seen.values()].toSorted(comparePlaces);
  if (sorted.length <= MAX_PROBLEMS) return sorted;
  const rest = sorted.length - MAX_PROBLEMS;
  return [
    ...sorted.slice(0, MAX_PROBLEMS),
    {
      severity: sorted[0]?.severity ?? "error",
      file: "",
      path: "",
      message: `And ${rest} more like these`,
    },
  ];
}

/** One line: `conf.d/shop:14:17 vhosts[0].mounts[1].origin: Unknown scheme "fil://"`. */
export function formatProblem(problem: Problem): string {
  const position = problem.line === undefined ? "" : `:${problem.line}:${problem.column ?? 1}`;
  const place = [problem.file + position, problem.path].filter((part) => part !== "").join(" ");
  return printable(place === "" ? problem.message : `${place}: ${problem.message}`);
}

/** The same for a terminal: below it the line of the file and a caret under the place. */
export function formatProblemWithSource(problem: Problem): string {
  const line = formatProblem(problem);
  if (problem.source === undefined || problem.column === undefined) return line;
  const gutter = `${problem.line ?? ""} | `;
  // Tabs are kept, so the caret stands under its character whatever the tab width.
  const lead = problem.source.slice(0, problem.column - 1).replace(/[^\t]/g, " ");
  const caret = `${" ".repeat(gutter.length - 2)}| ${lead}^`;
  return `${line}\n  ${gutter}${printable(problem.source)}\n  ${caret}`;
}

/** A file name or a value may hold escape sequences; they must not reach a terminal or split a log line. */
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
  return text.replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/g, "?");
}

function comparePlaces(a: Problem, b: Problem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}
