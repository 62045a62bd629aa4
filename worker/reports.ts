// Lines of the program's log that clients could cause by the thousand: of each kind one at a time, with how many it stands for.

/** Between two lines of one kind. */
const INTERVAL_MS = 10_000;

export type Reports = {
  /** `kind` is one of a few words of ours, `message` may hold what the client is called. */
  say(kind: string, message: string): void;
};

/** Passes on the first of each kind, and of those that follow soon after only their number. */
export function createReports(
  log: (message: string) => void,
  now: () => number = () => performance.now(),
): Reports {
  const kinds = new Map<string, { at: number; held: number }>();
  return {
    say(kind, message) {
      const before = kinds.get(kind);
      if (before && now() - before.at < INTERVAL_MS) {
        before.held += 1;
        return;
      }
      const held = before?.held ?? 0;
      kinds.set(kind, { at: now(), held: 0 });
      log(held === 0 ? message : `${message} (and ${held} more since the last such line)`);
    },
  };
}
