// What becomes of a command, and how a failure is told: to whoever asked, and in the log.

import { formatProblem, limitProblems } from "../config/problems.ts";
import type { Logger } from "../log/logger.ts";
import { explainFailure } from "./launch.ts";

/** What became of a command; `message` is for people and may have several lines. */
export type Outcome = { readonly ok: boolean; readonly message: string };

/** Logs why something could not be done. A bug of ours is logged with its stack; the server goes on either way. */
export function refuse(
  log: Logger,
  what: string,
  error: unknown,
): { readonly outcome: Outcome; readonly lines: readonly string[] } {
  const explained = explainFailure(error);
  if (!explained) log.error({ err: error }, "Internal error");
  const { message, problems } = explained ?? {
    message: `internal error: ${String(error)}`,
    problems: [],
  };
  const lines = limitProblems(problems).map(formatProblem);
  for (const line of lines) log.error(line);
  log.error(`${what}: ${message}`);
  return { outcome: { ok: false, message: [message, ...lines].join("\n") }, lines };
}
