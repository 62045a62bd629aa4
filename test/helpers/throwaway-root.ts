// A copy of this machine to install things into: its files under an overlay in memory, processes and network of its own.
// What was changed there can be told from what was there before, and all of it is gone with the test.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, lstatSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { needs } from "./programs.ts";
import { temporaryDirectory } from "./site.ts";

const CHECKOUT = join(import.meta.dirname, "../..");

const NAMESPACES = ["--mount", "--pid", "--net", "--uts", "--ipc"];

/** Mounts all of it, says so, and stays: the first process of its world, which reaps what others leave. */
const FIRST_PROCESS = `
set -e
top=$1 checkout=$2
mount -t tmpfs -o mode=755 none "$top"
mkdir "$top/upper" "$top/work" "$top/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" "$top/root"
for directory in run tmp; do mount -t tmpfs none "$top/root/$directory"; done
chmod 1777 "$top/root/tmp"
mkdir "$top/root/tmp/upper"
mount --bind "$top/upper" "$top/root/tmp/upper"
mount --rbind /dev "$top/root/dev"
mount -t proc proc "$top/root/proc"
mkdir -p "$top/root$checkout"
mount --bind "$checkout" "$top/root$checkout"
mount -o remount,bind,ro "$top/root$checkout"
ip link set lo up
# Not chroot: services are not started where one is noticed.
cd "$top/root"
mkdir machine
pivot_root . machine
umount -l machine
rmdir machine
exec chroot . sh -c 'echo ready; sleep infinity & wait $!'
`;

/** What was changed, as the overlay keeps it. */
const UPPER = "tmp/upper";

export type Outcome = { readonly code: number | null; readonly output: string };

export type ThrowawayRoot = {
  /** Runs a program there, as root, to its end. */
  run(this: void, ...command: readonly string[]): Outcome;
  /** As run; a failure fails the test. Returns what was printed. */
  get(this: void, ...command: readonly string[]): string;
  /** The command line here of a command line there, for a program that goes on. */
  command(this: void, ...command: readonly string[]): string[];
  /** Where its files can be read and written from here. */
  path(this: void, inside: string): string;
  /** Files and links that are new, changed or gone there, below none of `except`. */
  changes(this: void, except: readonly string[]): string[];
};

/** Undefined once the test is skipped: only root can make one. */
export async function openThrowawayRoot(t: TestContext): Promise<ThrowawayRoot | undefined> {
  const programs = ["unshare", "nsenter", "ip", "pivot_root"].map((name) =>
    needs(t, name, [name, `/usr/sbin/${name}`]),
  );
  const [unshare, nsenter] = programs;
  if (unshare === undefined || nsenter === undefined || programs.includes(undefined))
    return undefined;
  if (process.getuid?.() !== 0) {
    const reason = "only root can make a copy of the machine";
    assert.notEqual(process.env["CI"], "true", reason);
    t.skip(reason);
    return undefined;
  }
  const top = temporaryDirectory(t);
  const child = spawn(
    unshare,
    [
      ...NAMESPACES,
      "--propagation",
      "private",
      "--fork",
      "--kill-child",
      "--",
      "sh",
      "-c",
      FIRST_PROCESS,
      "sh",
      top,
      CHECKOUT,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const exited = once(child, "exit");
  t.after(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  const [line] = (await Promise.race([
    once(createInterface({ input: child.stdout }), "line"),
    exited.then(([code]) => assert.fail(`No copy of the machine: exit status ${code}`)),
  ])) as [string];
  assert.equal(line, "ready");
  const first = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim();
  const enter = ["-t", first, ...NAMESPACES, "--"];
  const command = (...words: readonly string[]): string[] => [nsenter, ...enter, ...words];
  const seen = `/proc/${first}/root`;

  function run(...words: readonly string[]): Outcome {
    const [program = "", ...args] = command(...words);
    const { status, stdout, stderr } = spawnSync(program, args, {
      encoding: "utf8",
      env: {
        PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
        DEBIAN_FRONTEND: "noninteractive",
        // As where sysvinit runs: services start as they are installed.
        RUNLEVEL: "2",
      },
      cwd: "/",
    });
    return { code: status, output: stdout + stderr };
  }

  return {
    run,
    get(...words) {
      const { code, output } = run(...words);
      assert.equal(code, 0, `${words.join(" ")}: ${output}`);
      return output;
    },
    command,
    path: (inside) => join(seen, inside),
    changes: (except) => listChanges(join(seen, UPPER), except),
  };
}

function listChanges(upper: string, except: readonly string[]): string[] {
  return readdirSync(upper, { recursive: true, encoding: "utf8" })
    .map((path) => `/${path}`)
    .filter((path) => {
      if (except.some((known) => path === known || path.startsWith(`${known}/`))) return false;
      const found = lstatSync(join(upper, path));
      // A directory counts where the machine does not have it; what was removed is a device there.
      if (found.isDirectory()) return !existsSync(path);
      return !found.isCharacterDevice() || existsSync(path);
    })
    .toSorted();
}
