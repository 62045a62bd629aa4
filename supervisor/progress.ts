// Waiting for all workers of a generation to get somewhere, with a limit. The first failure ends the wait.

import { GenerationError } from "./slot.ts";

/** One wait at a time. */
export class Progress {
  #current: { check: () => void; fail: (error: GenerationError) => void } | undefined;

  get isAwaited(): boolean {
    return this.#current !== undefined;
  }

  /** Resolves when `done` holds at a check(); rejects at fail(), or after `limitSecs`. */
  until(goal: string, limitSecs: number, done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (error?: GenerationError): void => {
        clearTimeout(timer);
        this.#current = undefined;
        if (error) reject(error);
        else resolve();
      };
      const timer = setTimeout(
        () =>
          finish(
            new GenerationError(`Not every worker was ${goal} within ready-secs (${limitSecs})`),
          ),
        limitSecs * 1000,
      );
      this.#current = { check: () => done() && finish(), fail: finish };
    });
  }

  /** Something has changed. */
  check(): void {
    this.#current?.check();
  }

  fail(error: GenerationError): void {
    this.#current?.fail(error);
  }
}
