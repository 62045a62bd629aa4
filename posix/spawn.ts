// Starts programs by posix_spawn(3), which shares memory with the child until it runs the program (vfork): its cost does
// not grow with this process, as that of a fork does. Every descriptor of ours is close-on-exec, and the child closes
// whatever else it might have inherited; we wait for our own children by pid only, never for "any".

import { closeSync } from "node:fs";
import { Socket } from "node:net";
import { constants, endianness } from "node:os";
import { getSystemErrorName } from "node:util";
import {
  signalGroup,
  startFailure,
  type Child,
  type Environment,
  type Exit,
  type Starter,
  type StartRequest,
} from "./child.ts";
import { openLibc } from "./native.mjs";
import { createNodeStarter } from "./spawn-node.ts";

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
const WNOHANG = 1;
const POSIX_SPAWN_SETPGROUP = 2;
const POSIX_SPAWN_SETSIGDEF = 4;
const POSIX_SPAWN_SETSIGMASK = 8;
/** More than any of posix_spawnattr_t, posix_spawn_file_actions_t and sigset_t, anywhere. */
const OPAQUE_BYTES = 1024;
/** struct rusage of getrusage(2): user and system time as seconds and microseconds, then the peak in KiB. */
const RUSAGE_BYTES = 256;
const RUSAGE_PEAK_AT = 32;

type Libc = ReturnType<typeof bindLibc>;

function bindLibc({ koffi, libc }: NonNullable<Awaited<ReturnType<typeof openLibc>>>) {
  const bind = (name: string, parameters: string): ((...values: unknown[]) => number) =>
    libc.func(`int ${name}(${parameters})`);
  return {
    addressOf: (block: Buffer): bigint => koffi.address(block),
    errno: (): number => koffi.errno(),
    pipe2: bind("pipe2", "void* fds, int flags"),
    wait4: bind("wait4", "int pid, void* status, int options, void* usage"),
    spawn: bind(
      "posix_spawn",
      "void* pid, void* path, void* actions, void* attributes, void* argv, void* envp",
    ),
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
  const reaper = createReaper(libc);
  const scratch = {
    actions: Buffer.alloc(OPAQUE_BYTES),
    pid: Buffer.alloc(4),
    fds: Buffer.alloc(8),
  };

  function openPipe(program: string, opened: Pipe[]): Pipe {
    if (libc.pipe2(scratch.fds, O_CLOEXEC) !== 0)
      throw startFailure(program, getSystemErrorName(-libc.errno()));
    const pipe = { read: scratch.fds.readInt32LE(0), write: scratch.fds.readInt32LE(4) };
    opened.push(pipe);
    return pipe;
  }

  function spawn(request: StartRequest, pipes: Ends): number {
    const { actions, pid } = scratch;
    const block = packStrings(libc, [request.program, ...request.args], request.environment);
    libc.initActions(actions);
    try {
      if (pipes.stdin) libc.addDup(actions, pipes.stdin.read, 0);
      else libc.addOpen(actions, 0, "/dev/null", O_RDONLY, 0);
      libc.addDup(actions, pipes.stdout.write, 1);
      libc.addDup(actions, pipes.stderr.write, 2);
      libc.addChdir(actions, terminated(request.cwd));
      libc.addCloseFrom(actions, 3);
      const path = terminated(request.program);
      const fault = libc.spawn(pid, path, actions, attributes, block.args, block.environment);
      if (fault !== 0) throw startFailure(request.program, getSystemErrorName(-fault));
      return pid.readInt32LE();
    } finally {
      libc.destroyActions(actions);
    }
  }

  return {
    by: "posix_spawn",
    carries: () => true,
    async start(request) {
      const opened: Pipe[] = [];
      let pid: number;
      let pipes: Ends;
      try {
        pipes = {
          stdin: request.stdin === "pipe" ? openPipe(request.program, opened) : undefined,
          stdout: openPipe(request.program, opened),
          stderr: openPipe(request.program, opened),
        };
        pid = spawn(request, pipes);
      } catch (error) {
        for (const { read, write } of opened) [read, write].forEach((fd) => closeSync(fd));
        throw error;
      }
      if (pipes.stdin) closeSync(pipes.stdin.read);
      closeSync(pipes.stdout.write);
      closeSync(pipes.stderr.write);
      return {
        pid,
        stdin: pipes.stdin && new Socket({ fd: pipes.stdin.write, readable: false }),
        stdout: new Socket({ fd: pipes.stdout.read, writable: false }),
        stderr: new Socket({ fd: pipes.stderr.read, writable: false }),
        exited: reaper.exitOf(pid),
        kill: (signal) => signalGroup(pid, signal),
      } satisfies Child;
    },
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

/** Collects the exit status of children that are handed to it. libuv waits for those of child_process in the same way, by pid. */
function createReaper(libc: Libc): { exitOf(pid: number): Promise<Exit> } {
  const waiting = new Map<number, (exit: Exit) => void>();
  const status = Buffer.alloc(4);
  const usage = Buffer.alloc(RUSAGE_BYTES);
  const reap = (): void => {
    for (const [pid, resolve] of waiting) {
      if (libc.wait4(pid, status, WNOHANG, usage) !== pid) continue;
      waiting.delete(pid);
      resolve(readExit(status.readUInt32LE(), usage));
    }
    if (waiting.size === 0) process.off("SIGCHLD", reap);
  };
  return {
    exitOf(pid) {
      const isFirst = waiting.size === 0;
      const { promise, resolve } = Promise.withResolvers<Exit>();
      waiting.set(pid, resolve);
      if (!isFirst) return promise;
      process.on("SIGCHLD", reap);
      // It may have ended before anybody listened.
      reap();
      return promise;
    },
  };
}

/** The status of wait(2), as <sys/wait.h> takes it apart. */
function readExit(status: number, usage: Buffer): Exit {
  const signal = status & 0x7f;
  const seconds = Number(usage.readBigInt64LE(0) + usage.readBigInt64LE(16));
  const microseconds = Number(usage.readBigInt64LE(8) + usage.readBigInt64LE(24));
  const peak = Number(usage.readBigInt64LE(RUSAGE_PEAK_AT));
  return {
    code: signal === 0 ? (status >> 8) & 0xff : null,
    signal: signal === 0 ? null : nameOf(signal),
    usage: {
      cpuMs: seconds * 1000 + microseconds / 1000,
      peakBytes: peak > process.resourceUsage().maxRSS ? peak * 1024 : undefined,
    },
  };
}

function nameOf(signal: number): string {
  const known = Object.entries(constants.signals).find(([, number]) => number === signal);
  return known?.[0] ?? `signal ${signal}`;
}

/** Both arrays of execve(2) in blocks of pointers. The strings live as long as the blocks. */
function packStrings(
  libc: Libc,
  args: readonly string[],
  environment: Environment,
): { args: Buffer; environment: Buffer } {
  const values = args.map((arg) => Buffer.from(arg, "utf8").toString("latin1"));
  const variables = [...environment].map(([name, value]) => `${name}=${value}`);
  const text = [...values, ...variables].map((value) => `${value}\0`).join("");
  const pointerBytes = (values.length + variables.length + 2) * POINTER_BYTES;
  const block = Buffer.allocUnsafeSlow(pointerBytes + text.length);
  block.write(text, pointerBytes, "latin1");
  const pointers = new BigUint64Array(block.buffer, 0, pointerBytes / POINTER_BYTES);
  let address = libc.addressOf(block) + BigInt(pointerBytes);
  let at = 0;
  for (const list of [values, variables]) {
    for (const value of list) {
      pointers[at++] = address;
      address += BigInt(value.length + 1);
    }
    pointers[at++] = 0n;
  }
  return { args: block, environment: block.subarray((values.length + 1) * POINTER_BYTES) };
}

function terminated(path: string): Buffer {
  return Buffer.from(`${path}\0`, "utf8");
}
