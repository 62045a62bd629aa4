// How a worker is started: what it inherits, and what it is told of that. It gets no descriptor and no variable beyond these.

import { spawn, type ChildProcess } from "node:child_process";
import { Duplex, PassThrough } from "node:stream";
import { fileURLToPath } from "node:url";
import type { SentConfiguration } from "../ipc/messages.ts";
import type { Handover } from "../posix/handover.ts";
import type { SharedFile } from "../posix/shared-file.ts";
import type { Listener } from "./listeners.ts";

/** Descriptors in the worker: 0-2 standard streams, 3 the channel, then what else it inherits, without a hole. */
const CHANNEL_FD = 3;
const FIRST_INHERITED_FD = 4;

/** Threads in which files are opened and read: with the four that libuv has by itself, four slow reads hold up all others. */
const POOL_THREADS = "16";

const WORKER_ENTRY = fileURLToPath(new URL("../bin/worker.ts", import.meta.url));

export type WorkerSpec = Omit<
  SentConfiguration,
  "config" | "listeners" | "activityFd" | "handoverFd"
> & {
  /** Asked for once the process is on its way. */
  readonly config: () => Uint8Array;
  readonly listeners: readonly Listener[];
  /** Where the worker notes what it is in the middle of. Closed when it is gone. */
  readonly activity: SharedFile | undefined;
  /** How connections get to it where it does not accept by itself. Closed when it is gone. */
  readonly makeHandover: (() => Handover | undefined) | undefined;
};

/** Starts the process. Throws, or tells by an event, when that cannot be. */
export function spawnWorker(spec: WorkerSpec, handover: Handover | undefined): ChildProcess {
  return spawn(process.execPath, ["--disable-sigusr1", WORKER_ENTRY], {
    stdio: [
      "ignore",
      // The output of `check` is its report; what a plugin prints must not get into it.
      spec.isProbe ? 2 : "inherit",
      "inherit",
      "pipe",
      ...inherited(spec, handover),
    ],
    env: workerEnvironment(),
  });
}

/** Descriptors here that the worker inherits behind the channel. */
function inherited({ listeners, activity }: WorkerSpec, handover: Handover | undefined): number[] {
  const sockets = handover ? [handover.farFd] : listeners.map(({ fd }) => fd);
  return activity ? [...sockets, activity.fd] : sockets;
}

/** The supervisor's end of the channel; a closed one for a worker that could not be started (no descriptors left). */
export function channelStream(child: ChildProcess | undefined): Duplex {
  const stream = (child?.stdio as readonly unknown[] | undefined)?.[CHANNEL_FD];
  return stream instanceof Duplex ? stream : new PassThrough().destroy();
}

/** What the worker is told first. */
export function configurationFor(
  spec: WorkerSpec,
  handover: Handover | undefined,
): SentConfiguration {
  const { activity, makeHandover: _made, ...sent } = spec;
  return {
    ...sent,
    config: spec.config(),
    activityFd: activity && FIRST_INHERITED_FD + inherited(spec, handover).length - 1,
    handoverFd: handover && FIRST_INHERITED_FD,
    listeners: spec.listeners.map((listener, index) => ({
      address: listener.bound,
      fd: handover ? undefined : FIRST_INHERITED_FD + index,
      port: listener.port,
      secure: listener.secure,
      vhosts: listener.vhosts,
      overrides: listener.overrides,
    })),
  };
}

/** A worker gets what Node and the libc need, and no secret that happened to be in our environment. */
function workerEnvironment(): NodeJS.ProcessEnv {
  const kept = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "NODE_EXTRA_CA_CERTS",
    "NODE_V8_COVERAGE",
    "NODE_COMPILE_CACHE",
    "PORTICO_LOG_LEVEL",
    "FORCE_COLOR",
    "NO_COLOR",
    "TERM",
  ];
  const { UV_THREADPOOL_SIZE = POOL_THREADS } = process.env;
  const passed = kept.filter((name) => process.env[name] !== undefined);
  return {
    ...Object.fromEntries(passed.map((name) => [name, process.env[name]])),
    UV_THREADPOOL_SIZE,
  };
}
