// Starts programs by posix_spawn(3), which shares memory with the child until it runs the program (vfork): its cost does
// not grow with this process, as that of a fork does. The thread that calls it stands still meanwhile, so that is one
// of koffi's and not the event loop. Every descriptor of ours is close-on-exec, and the child closes whatever else it might
// have inherited; we wait for our own children by pid only, never for "any".

import { closeSync } from "node:fs";
import { endianness } from "node:os";
import { getSystemErrorName } from "node:util";
import { startFailure, type Child, type Starter, type StartRequest } from "./child.ts";
import { openLibc } from "./native.mjs";
import { SpawnBlock } from "./spawn-blocks.ts";
import { createNodeStarter } from "./spawn-node.ts";
import { createPipeReader, SpawnedChild } from "./spawned-child.ts";
import { createReaper } from "./wait.ts";

/** A starter by posix_spawn, or by child_process where libc or koffi lack what it takes. */
export async function openStarter(): Promise<Starter> {
  return (await openSpawnStarter()) ?? createNodeStarter();
}

/** A starter by posix_spawn; undefined where it cannot be had. */
export async function openSpawnStarter(): Promise<Starter | undefined> {
  // The numbers below are those of Linux, and blocks of pointers are written as 64-bit little-endian.
  if (process.platform !== "linux" || endianness() !== "LE") return undefined;
  const native = await openLibc();
  if (native?.koffi.sizeof("void*") !== POINTER_BYTES) return undefined;
  try {
    return createSpawnStarter(bindLibc(native));
  } catch {
    return undefined; // musl and older glibc have no addclosefrom_np.
  }
}

const POINTER_BYTES = 8;
const O_CLOEXEC = 0o2000000;
const O_RDONLY = 0;
const POSIX_SPAWN_SETPGROUP = 2;
const POSIX_SPAWN_SETSIGDEF = 4;
const POSIX_SPAWN_SETSIGMASK = 8;
/** More than any of posix_spawnattr_t, posix_spawn_file_actions_t and sigset_t, anywhere. */
const OPAQUE_BYTES = 1024;
/** Starts in threads at once; files are read in the same pool. */
const MAX_STARTING = 3;
/** File actions that are kept, 300 bytes each. */
const MAX_PLANS = 64;

type Libc = ReturnType<typeof bindLibc>;

function bindLibc({ koffi, libc }: NonNullable<Awaited<ReturnType<typeof openLibc>>>) {
  const bind = (name: string, parameters: string): ((...values: unknown[]) => number) =>
    libc.func(`int ${name}(${parameters})`);
  const posixSpawn = libc.func(
    "int posix_spawn(void* pid, void* path, void* actions, void* attributes, void* argv, void* envp)",
  );
  const inUse = new Set<readonly Buffer[]>();
  return {
    addressOf: (block: Buffer): bigint => koffi.address(block),
    errno: (): number => koffi.errno(),
    poll: bind("poll", "void* fds, ulong count, int timeout"),
    pipe2: bind("pipe2", "void* fds, int flags"),
    wait4: bind("wait4", "int pid, void* status, int options, void* usage"),
    /** In a thread. */
    spawn: async (...blocks: readonly Buffer[]): Promise<number> => {
      const { promise, resolve, reject } = Promise.withResolvers<number>();
      // The thread knows addresses only: nothing may be collected that they point to.
      inUse.add(blocks);
      posixSpawn.async(...blocks, (fault: Error | null, code: number) => {
        inUse.delete(blocks);
        if (fault) reject(fault);
        else resolve(code);
      });
      return await promise;
    },
    sigemptyset: bind("sigemptyset", "void* set"),
    initAttributes: bind("posix_spawnattr_init", "void* attributes"),
    setFlags: bind("posix_spawnattr_setflags", "void* attributes, short flags"),
    setGroup: bind("posix_spawnattr_setpgroup", "void* attributes, int group"),
    setDefaults: bind("posix_spawnattr_setsigdefault", "void* attributes, void* set"),
    setMask: bind("posix_spawnattr_setsigmask", "void* attributes, void* set"),
    initActions: bind("posix_spawn_file_actions_init", "void* actions"),
    destroyActions: bind("posix_spawn_file_actions_destroy", "void* actions"),
    addDup: bind("posix_spawn_file_actions_adddup2", "void* actions, int fd, int as"),
    addOpen: bind(
      "posix_spawn_file_actions_addopen",
      "void* actions, int fd, const char* path, int flags, int mode",
    ),
    addChdir: bind("posix_spawn_file_actions_addchdir_np", "void* actions, void* path"),
    addCloseFrom: bind("posix_spawn_file_actions_addclosefrom_np", "void* actions, int from"),
  };
}

/** Reading ends and writing ends that are still ours to close. */
type Pipe = { readonly read: number; readonly write: number };

function createSpawnStarter(libc: Libc): Starter {
  const attributes = makeAttributes(libc);
  const tools = { reaper: createReaper(libc.wait4), reader: createPipeReader(libc.poll) };
  const inTurn = createTurns(MAX_STARTING);
  const plans = createPlans(libc);
  const fds = Buffer.alloc(8);
  /** Blocks of starts that are over. */
  const spare: SpawnBlock[] = [];

  function openPipe(program: string, opened: Pipe[]): Pipe {
    if (libc.pipe2(fds, O_CLOEXEC) !== 0)
      throw startFailure(program, getSystemErrorName(-libc.errno()));
    const pipe = { read: fds.readInt32LE(0), write: fds.readInt32LE(4) };
    opened.push(pipe);
    return pipe;
  }

  async function spawn(request: StartRequest, pipes: Ends): Promise<number> {
    const block = spare.pop() ?? new SpawnBlock(libc.addressOf);
    const { path, args, environment } = block.pack(request);
    const plan = plans.take(request.cwd, pipes);
    try {
      const fault = await libc.spawn(block.pid, path, plan.actions, attributes, args, environment);
      if (fault !== 0) throw startFailure(request.program, getSystemErrorName(-fault));
      return block.pid.readInt32LE();
    } finally {
      plans.give(plan);
      block.trim();
      spare.push(block);
    }
  }

  async function start(request: StartRequest): Promise<Child> {
    const opened: Pipe[] = [];
    let pid: number;
    let pipes: Ends;
    try {
      pipes = {
        stdin: request.stdin === "pipe" ? openPipe(request.program, opened) : undefined,
        stdout: openPipe(request.program, opened),
        stderr: openPipe(request.program, opened),
      };
      pid = await spawn(request, pipes);
    } catch (error) {
      for (const { read, write } of opened) [read, write].forEach((fd) => closeSync(fd));
      throw error;
    }
    if (pipes.stdin) closeSync(pipes.stdin.read);
    closeSync(pipes.stdout.write);
    closeSync(pipes.stderr.write);
    const ends = {
      stdin: pipes.stdin?.write,
      stdout: pipes.stdout.read,
      stderr: pipes.stderr.read,
    };
    return new SpawnedChild(pid, ends, tools);
  }

  return {
    by: "posix_spawn",
    carries: () => true,
    start: async (request) => await inTurn(() => start(request)),
  };
}

/** File actions in memory of libc: what a child does with its descriptors before it runs the program. */
type Plan = { readonly key: string; readonly actions: Buffer };
type Plans = {
  take(cwd: string, pipes: Ends): Plan;
  give(plan: Plan): void;
};

/** Descriptors have the same few numbers again and again, so plans are kept, while nobody has them. */
function createPlans(libc: Libc): Plans {
  const kept = new Map<string, Plan>();

  function make(key: string, cwd: string, { stdin, stdout, stderr }: Ends): Plan {
    const actions = Buffer.allocUnsafeSlow(OPAQUE_BYTES);
    libc.initActions(actions);
    if (stdin) libc.addDup(actions, stdin.read, 0);
    else libc.addOpen(actions, 0, "/dev/null", O_RDONLY, 0);
    libc.addDup(actions, stdout.write, 1);
    libc.addDup(actions, stderr.write, 2);
    libc.addChdir(actions, Buffer.from(`${cwd}\0`, "utf8"));
    libc.addCloseFrom(actions, 3);
    return { key, actions };
  }

  return {
    take(cwd, pipes) {
      const key = `${pipes.stdin?.read} ${pipes.stdout.write} ${pipes.stderr.write} ${cwd}`;
      const plan = kept.get(key);
      if (plan === undefined) return make(key, cwd, pipes);
      kept.delete(key);
      return plan;
    },
    give(plan) {
      kept.set(plan.key, plan);
      if (kept.size <= MAX_PLANS) return;
      const [oldest] = kept.values();
      if (!oldest) return;
      kept.delete(oldest.key);
      libc.destroyActions(oldest.actions);
    },
  };
}

/** So many at once, the others in the order in which they came. Who calls bounds how many wait. */
function createTurns(count: number): <T>(act: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let free = count;
  return async (act) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await act();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    }
  };
}

type Ends = { readonly stdin: Pipe | undefined; readonly stdout: Pipe; readonly stderr: Pipe };

/** What every program starts with: its own process group, no signal blocked, none ignored. */
function makeAttributes(libc: Libc): Buffer {
  const attributes = Buffer.alloc(OPAQUE_BYTES);
  // Not sigfillset(3): it leaves out two signals of glibc's own, and those would then be ignored.
  const all = Buffer.alloc(OPAQUE_BYTES, 0xff);
  const none = Buffer.alloc(OPAQUE_BYTES);
  libc.sigemptyset(none);
  libc.initAttributes(attributes);
  libc.setFlags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  libc.setGroup(attributes, 0);
  libc.setDefaults(attributes, all);
  libc.setMask(attributes, none);
  return attributes;
}
