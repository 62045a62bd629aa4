// What a run knows of its request and its mount, and what is said where a program failed.

import type { Logger } from "../../../log/logger.ts";
import type { CgiCounters } from "../../counters.ts";
import { HttpError, type Exchange } from "../../http/exchange.ts";
import type { Input } from "./input.ts";
import type { CgiLimits } from "./limits.ts";
import type { Script } from "./script.ts";

/** The same for every run of a mount. */
export type RunSettings = {
  readonly idleMs: number;
  readonly totalMs: number;
  /** The program outlives its client. */
  readonly keeps: boolean;
  readonly limits: CgiLimits;
  readonly counters: CgiCounters;
  readonly log: Logger;
};

export class RunContext {
  readonly settings: RunSettings;
  readonly exchange: Exchange;
  /** What is still to be written to the program. */
  readonly input: Input | undefined;
  /** Aborts when the client goes or the exchange is cut. */
  readonly gone: AbortSignal;
  readonly script: Script;
  readonly #child: number;
  #log: Logger | undefined;

  constructor(
    settings: RunSettings,
    of: Pick<RunContext, "exchange" | "input" | "gone" | "script"> & { readonly child: number },
  ) {
    this.settings = settings;
    this.exchange = of.exchange;
    this.input = of.input;
    this.gone = of.gone;
    this.script = of.script;
    this.#child = of.child;
  }

  /** Made when there is something to say: most programs never do. */
  get log(): Logger {
    const { script, exchange } = this;
    return (this.#log ??= this.settings.log.child({
      script: script.file ?? script.program,
      child: this.#child,
      request: exchange.header("x-request-id"),
    }));
  }
}

/** The last lines on stderr that go with the message about a program that failed. */
export const KEPT_LINES = 5;

/** Counts and logs an output that is no answer; returns what the client is told. */
export function reportFailure(cause: unknown, { settings, log }: RunContext): HttpError {
  settings.counters.failed += 1;
  log.warn(`CGI program failed: ${cause instanceof Error ? cause.message : String(cause)}`);
  // The message may quote output, such as source text: for the log only.
  return new HttpError(502, "The program gave no valid answer", { cause });
}
