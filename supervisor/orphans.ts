// CGI children that outlived their worker come to the supervisor, their subreaper: a dead worker's are killed by group,
// and every one that ends is reaped. Background jobs that a CGI program left on purpose are only reaped.

import { becomeSubreaper, killGroup } from "../posix/children.ts";

export type Orphans = {
  /** Reaps what has ended and takes note of who is there. Cheap: call it every second and on SIGCHLD. */
  sweep(): void;
  /** A worker died: whoever came to us since the last sweep was its child. Returns how many groups were killed. */
  killNewcomers(): number;
};

/** Undefined where the platform has no subreaper: orphans then belong to init. */
export async function createOrphans(): Promise<Orphans | undefined> {
  const reaper = await becomeSubreaper();
  if (!reaper) return undefined;
  let known = new Set<number>();

  function sweep(): void {
    const children = reaper?.adopted() ?? [];
    known = new Set(
      children
        .filter((child) => child.state === "alive" || !reaper?.reap(child.pid))
        .map((child) => child.pid),
    );
  }

  return {
    sweep,
    killNewcomers() {
      const groups = new Set(
        reaper
          .adopted()
          .filter((child) => child.state === "alive" && !known.has(child.pid))
          .map((child) => child.group),
      );
      for (const group of groups) killGroup(group, "SIGKILL");
      sweep();
      return groups.size;
    },
  };
}
