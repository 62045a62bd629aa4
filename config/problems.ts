// What is wrong with a configuration, where, and how it is told.

import { blanksFor, clip, printable, printableInPlace } from "./printable.ts";
import { maskPasswords } from "./secret-names.ts";

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
    super(limitProblems(problems).map(formatProblem).join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
    this.remarks = remarks;
  }
}

/** In order of file and position, each finding once. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  const seen = new Map<string, Problem>();
  for (const problem of problems) {
    const key = `${problem.severity} ${formatProblem(problem)}`;
    if (!seen.has(key)) seen.set(key, problem);
  }
  return [...seen.values()].toSorted(comparePlaces);
}

/** A generated file with a mistake on every line must not flood a terminal or the log. */
const MAX_TOLD = 1_000;

/** The first thousand of them and how many are left; for where they are told, at the very end. */
export function limitProblems(problems: readonly Problem[]): readonly Problem[] {
  if (problems.length <= MAX_TOLD) return problems;
  const message = `And ${problems.length - MAX_TOLD} more like these`;
  const severity = problems[0]?.severity ?? "error";
  return [...problems.slice(0, MAX_TOLD), { severity, file: "", path: "", message }];
}

/** Longer ones come from keys of kilobytes and would bury the message. */
const MAX_PATH = 200;
const MAX_MESSAGE = 1_000;

/** One line: `conf.d/shop:14:17 vhosts[0].mounts[1].origin: Unknown scheme "fil://"`. */
export function formatProblem(problem: Problem): string {
  const position = problem.line === undefined ? "" : `:${problem.line}:${problem.column ?? 1}`;
  const path = clip(problem.path, MAX_PATH);
  const place = [problem.file + position, path].filter((part) => part !== "").join(" ");
  const message = clip(problem.message, MAX_MESSAGE);
  return printable(place === "" ? message : `${place}: ${message}`);
}

/** The same for a terminal: below it the line of the file and a caret under the place. */
export function formatProblemWithSource(problem: Problem): string {
  const line = formatProblem(problem);
  if (problem.source === undefined || problem.column === undefined) return line;
  const gutter = `${problem.line ?? ""} | `;
  const source = maskPasswords(problem.source);
  const lead = blanksFor(source.slice(0, problem.column - 1));
  const caret = `${" ".repeat(gutter.length - 2)}| ${lead}^`;
  return `${line}\n  ${gutter}${printableInPlace(source)}\n  ${caret}`;
}

function comparePlaces(a: Problem, b: Problem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}
