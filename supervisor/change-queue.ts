// Changes of what serves happen one after the other: the start, reloads, other workers. Nobody sees a change half done.

import type { Outcome } from "./outcome.ts";

/** The changes of one server. */
export class ChangeQueue {
  /** What a new change has to wait for. */
  #busy: Promise<unknown>;
  #nextReload: Promise<Outcome> | undefined;

  /** Nothing is begun before `first` is settled or replaced. */
  constructor(first: Promise<unknown>) {
    this.#busy = first;
  }

  /** Everything that is asked for from now on waits for this. */
  begin(start: Promise<unknown>): void {
    this.#busy = start.catch(() => undefined);
  }

  /** Makes a change when those before it are made. `change` never rejects. */
  run(change: () => Promise<Outcome>): Promise<Outcome> {
    const running = this.#busy.then(change);
    this.#busy = running;
    return running;
  }

  /** The same, but calls that come before it has begun share one. */
  runReload(reload: () => Promise<Outcome>): Promise<Outcome> {
    return (this.#nextReload ??= this.run(() => {
      this.#nextReload = undefined;
      return reload();
    }));
  }
}
