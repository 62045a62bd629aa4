// How problems and failures are shown to people.

import { styleText } from "node:util";
import {
  ConfigError,
  formatProblem,
  formatProblemWithSource,
  limitProblems,
  type Problem,
  type Severity,
} from "../config/problems.ts";
import { InstanceError } from "../supervisor/instance.ts";
import { explainFailure } from "../supervisor/launch.ts";

const COLOURS = { error: "red", warning: "yellow", notice: "cyan" } as const;

/** A problem led by its severity; on a terminal with the line of the file and a caret. */
export function formatFinding(problem: Problem, stream: NodeJS.WriteStream): string {
  const label = styleText(COLOURS[problem.severity], problem.severity, { stream });
  return `${label}: ${(stream.isTTY ? formatProblemWithSource : formatProblem)(problem)}`;
}

/** "2 errors and 1 warning". */
export function countFindings(problems: readonly Problem[]): string {
  const count = (severity: Severity): string[] => {
    const { length } = problems.filter((problem) => problem.severity === severity);
    return length === 0 ? [] : [`${length} ${severity}${length === 1 ? "" : "s"}`];
  };
  const parts = [...count("error"), ...count("warning"), ...count("notice")];
  return [parts.slice(0, -1).join(", "), ...parts.slice(-1)]
    .filter((part) => part !== "")
    .join(" and ");
}

/** Tells people what is wrong and where; returns the exit status. Our own bugs are thrown on. */
export function reportFailure(error: unknown): number {
  const failure =
    error instanceof InstanceError
      ? { message: error.message, problems: [] }
      : explainFailure(error);
  if (!failure) throw error;
  const remarks = error instanceof ConfigError ? error.remarks : [];
  for (const problem of [...limitProblems(failure.problems), ...limitProblems(remarks)])
    console.error(formatFinding(problem, process.stderr));
  console.error(`portico: ${failure.message}`);
  return 1;
}
