// The answer of a program that has ended before anybody had to listen to it: there is no process, no pipe and no clock left,
// and what is wrong with its output is known before a byte of it was sent.

import type { Ended } from "../../../posix/child.ts";
import type { ByteString } from "../../http/exchange.ts";
import { CgiAnswer } from "./answer.ts";
import { KEPT_LINES, reportFailure, type RunContext } from "./run-context.ts";
import { StderrLines } from "./stderr-log.ts";

/** Answers the exchange; returns the path where its answer is to be found instead, if the program named one. */
export function answerAtOnce(ended: Ended, context: RunContext): ByteString | undefined {
  const { exit, stdout } = ended;
  const { exchange, gone, script } = context;
  const said = readStderr(ended.stderr, context);
  const answer = new CgiAnswer(exchange, {
    gone,
    isNph: script.isNph,
    remark: (text) => context.log.warn(text),
  });
  try {
    if (!gone.aborted) answer.takeAll(stdout, exit);
    const { code, signal } = exit;
    if (code !== 0) context.log.warn({ code, signal, stderr: said }, "CGI program failed");
  } catch (cause) {
    answer.refuse(reportFailure(cause, context));
  }
  return gone.aborted ? undefined : answer.redirect;
}

function readStderr(stderr: Buffer, context: RunContext): readonly string[] {
  if (stderr.length === 0) return [];
  const said: string[] = [];
  const lines = new StderrLines(context.settings.limits, (line) => {
    context.log.info(line);
    said.push(line);
  });
  lines.push(stderr);
  lines.end();
  return said.slice(-KEPT_LINES);
}
