// Which plugin this worker is in the middle of, kept where the supervisor can read it. Costs a store to memory each way.

import { writeSync } from "node:fs";
import { ACTIVITY_WORDS, encodeNames } from "../ipc/activity.ts";
import { mapSharedFile } from "../posix/shared-file.ts";

export type Activity = {
  /** Makes functions that are noted under `name` while they run. */
  named(
    name: string,
  ): <Args extends unknown[], R>(action: (...args: Args) => R) => (...args: Args) => R;
  /** Writes down what the names are, once all are there. */
  publish(): void;
};

/** Notes nothing; for where nobody could read it. */
export const noActivity: Activity = { named: () => (action) => action, publish() {} };

/** Notes activity in the file that was inherited as `fd`. */
export async function createActivity(fd: number | undefined): Promise<Activity> {
  const words = fd === undefined ? undefined : await mapSharedFile(fd, ACTIVITY_WORDS);
  if (!words || fd === undefined) return noActivity;
  const names: string[] = [];
  return {
    named(name) {
      const number = names.push(name);
      return (action) =>
        (...args) => {
          const outer = words[0] ?? 0;
          words[0] = number;
          try {
            return action(...args);
          } finally {
            words[0] = outer;
          }
        };
    },
    publish() {
      const { at, text } = encodeNames(names);
      writeSync(fd, text, 0, text.length, at);
    },
  };
}
