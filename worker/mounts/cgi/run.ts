// One program at work for one exchange: bytes in, bytes out, clocks, and an end that leaves no process and no pipe behind.

import { once } from "node:events";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../../../log/logger.ts";
import type { CgiCounters } from "../../counters.ts";
import { HttpError, type Exchange } from "../../http/exchange.ts";
import { CgiAnswer } from "./answer.ts";
import type { Child, Exit } from "./child.ts";
import { IdleClock } from "./idle-clock.ts";
import type { Input } from "./input.ts";
import type { CgiLimits } from "./limits.ts";
import { CgiOutputError } from "./response-head.ts";
import { logStderr } from "./stderr-log.ts";

export type RunContext = {
  readonly exchange: Exchange;
  readonly input: Input;
  /** Aborts when the client goes or the exchange is cut. */
  readonly gone: AbortSignal;
  readonly idleMs: number;
  readonly limits: CgiLimits;
  readonly counters: CgiCounters;
  readonly log: Logger;
};

/** Owns a child until nothing is left of it. */
export class CgiRun {
  readonly #child: Child;
  readonly #context: RunContext;
  readonly #answer: CgiAnswer;
  readonly #clock: IdleClock;
  #inputState: "flowing" | "done";
  #ending: NodeJS.Timeout | undefined;

  constructor(child: Child, context: RunContext) {
    this.#child = child;
    this.#context = context;
    this.#inputState = context.input.stream ? "flowing" : "done";
    this.#answer = new CgiAnswer(context.exchange, context.gone, (message) => context.log.warn(message));
    this.#clock = new IdleClock(context.idleMs, () => this.#limitMs(), () => this.#idle());
  }

  /** Resolves when the program has ended and its pipes are closed. */
  async finish(): Promise<void> {
    const { gone, limits, log } = this.#context;
    const { stdout, stderr, exited } = this.#child;
    const closed = [stdout, stderr].map(closing);
    const leave = (): void => this.#leave();
    gone.addEventListener("abort", leave);
    if (gone.aborted) leave();
    logStderr(stderr, limits, (line) => log.warn(line));
    this.#feed();
    try {
      await this.#relay();
      const exit = await exited;
      if (exit.code !== 0 && this.#ending === undefined) log.warn(exit, "CGI program failed");
      await Promise.all(closed);
    } finally {
      gone.removeEventListener("abort", leave);
      this.#clock.stop();
      if (!this.#child.kill(0)) clearTimeout(this.#ending);
    }
  }

  /** Ends the program and all it started, without asking. */
  kill(): void {
    this.#child.kill("SIGKILL");
    this.#closePipes();
  }
  ...
