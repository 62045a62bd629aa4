// A place for one worker in a generation: who serves there, and who is on the way.

import type { ProvisionProblem } from "../config/problems.ts";
import type { WorkerExit, WorkerProcess } from "./worker-process.ts";

export type Slot = {
  readonly index: number;
  current: WorkerProcess | undefined;
  delayMs: number | undefined;
  timer: NodeJS.Timeout | undefined;
  /** On its way into the slot; until it serves, `current` does. */
  successor: Successor | undefined;
};

type Successor = {
  readonly worker: WorkerProcess;
  readonly resolve: () => void;
  readonly reject: (error: GenerationError) => void;
};

/** The generation cannot serve: what its workers found, or that one died or took too long. */
export class GenerationError extends Error {
  readonly code = "GENERATION";
  readonly problems: readonly ProvisionProblem[];
  constructor(message: string, problems: readonly ProvisionProblem[] = []) {
    super(message);
    this.problems = problems;
  }
}

/** Nobody is there yet. */
export function emptySlot(index: number): Slot {
  return {
    index,
    current: undefined,
    delayMs: undefined,
    timer: undefined,
    successor: undefined,
  };
}

/** "SIGKILL, silent for 10 s", "exit status 1", "cannot start: …". */
export function describeExit({ code, signal, reason }: WorkerExit): string {
  const how = signal ?? (code === null ? "" : `exit status ${code}`);
  return [how, reason].filter((part) => part !== "").join(", ");
}
