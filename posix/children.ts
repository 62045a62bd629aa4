// Processes that other processes left behind. As a child subreaper the supervisor inherits the CGI children of a
// worker that died; they live in process groups of their own, which tells them from the workers.

import { readFileSync } from "node:fs";
import { openLibc } from "./native.mjs";

const PR_SET_CHILD_SUBREAPER = 36;
const WNOHANG = 1;

export type AdoptedChild = {
  readonly pid: number;
  readonly group: number;
  readonly state: "alive" | "zombie";
};

export type Reaper = {
  /** Children of this process that lead or belong to a foreign process group. */
  adopted(): AdoptedChild[];
  /** Collects the exit status of a dead child, so that it is no zombie. False while it lives. */
  reap(pid: number): boolean;
};

/** Makes this process the subreaper of its descendants (prctl(2)); undefined where the platform cannot. */
export async function becomeSubreaper(): Promise<Reaper | undefined> {
  if (process.platform !== "linux") return undefined;
  const native = await openLibc();
  if (!native) return undefined;
  const prctl = native.libc.func("int prctl(int option, ulong a, ulong b, ulong c, ulong d)");
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) !== 0) return undefined;
  const waitpid = native.libc.func("int waitpid(int pid, _Out_ int* status, int options)");
  const ownGroup = readStat(process.pid)?.group;
  return {
    adopted() {
      const children: AdoptedChild[] = [];
      for (const pid of readChildren()) {
        const stat = readStat(pid);
        if (stat && stat.group !== ownGroup) children.push({ pid, ...stat });
      }
      return children;
    },
    reap: (pid) => waitpid(pid, [0], WNOHANG) !== 0,
  };
}

/** Sends a signal to a whole process group; one that is gone is no error. */
export function killGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function readChildren(): number[] {
  try {
    const list = readFileSync(`/proc/self/task/${process.pid}/children`, "latin1");
    return list.split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** State and process group from /proc/PID/stat (proc(5)); undefined when the process is gone. */
function readStat(pid: number): { state: "alive" | "zombie"; group: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The program's name stands in parentheses and may hold anything, so count from the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] === "Z" ? "zombie" : "alive", group: Number(fields[2]) };
  } catch {
    return undefined;
  }
}
