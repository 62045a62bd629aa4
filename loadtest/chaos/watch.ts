// Looks at the server's processes once a second: memory, and who is left as a zombie.

import { descendants, processState, residentBytes, type ProcessState } from "./processes.ts";

const LOOK_MS = 1_000;
/** A zombie that was seen so often in a row is not on its way out. */
const MAX_LOOKS = 5;

export type Watch = {
  readonly supervisorBytes: number[];
  readonly zombies: ProcessState[];
  /** Every process there was below the supervisor, by number and start. */
  readonly seen: ReadonlyMap<string, ProcessState>;
  stop(): void;
};

export function watchProcesses(supervisor: number): Watch {
  const supervisorBytes: number[] = [];
  const zombies: ProcessState[] = [];
  const seen = new Map<string, ProcessState>();
  let looks = new Map<string, number>();
  const timer = setInterval(() => {
    supervisorBytes.push(residentBytes(supervisor));
    const now = new Map<string, number>();
    for (const one of descendants(supervisor)) {
      const name = nameOf(one);
      seen.set(name, one);
      // A parent that is stopped cannot reap; its child is reaped when the watchdog has ended it.
      if (one.state !== "Z" || processState(one.parent)?.state === "T") continue;
      const times = (looks.get(name) ?? 0) + 1;
      now.set(name, times);
      if (times === MAX_LOOKS) zombies.push(one);
    }
    looks = now;
  }, LOOK_MS);
  return { supervisorBytes, zombies, seen, stop: () => clearInterval(timer) };
}

export function nameOf({ pid, startedAt }: ProcessState): string {
  return `${pid} ${startedAt}`;
}
