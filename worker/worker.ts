// One worker, from its first message to its exit: configure, provision, ready or rejected, open, drain or stop.

import { flushCompileCache } from "node:module";
import net from "node:net";
import type { ServerConfig } from "../config/server.ts";
import { createChannel } from "../ipc/channel.ts";
import {
  decodeConfiguration,
  toSupervisor,
  toWorker,
  type Configuration,
} from "../ipc/messages.ts";
import { createLogger, type Logger } from "../log/logger.ts";
import { limitOpenFiles } from "../posix/open-files.ts";
import { releaseMemory } from "../posix/memory.ts";
import { openHandoverEnd } from "../posix/handover.ts";
import { openLibc } from "../posix/native.mjs";
import { createActivity } from "./activity.ts";
import { createBoardClient, type BoardClient } from "./board-client.ts";
import { createBusClient, type BusClient, type WorkerChannel } from "./bus.ts";
import { createCounters, type Counters } from "./counters.ts";
import { createDrain, type Drain } from "./drain.ts";
import { dropPrivileges } from "./privileges.ts";
import { createHealth, type Health } from "./health.ts";
import { createReception, type Reception } from "./reception.ts";
import { createSampler, type Sampler } from "./sampler.ts";
import { provisionSite, ProvisionError, type Site } from "./site.ts";
import { createStoreClient, type StoreClient } from "./store.ts";

const CHANNEL_FD = 3;
const MAX_FROM_SUPERVISOR_BYTES = 128 * 1024 * 1024;
const MAX_TO_SUPERVISOR_BYTES = 8 * 1024 * 1024;
const MS_PER_SEC = 1_000;
/** A worker that met a fatal error finishes what it can in this time; its replacement already starts. */
const FATAL_STOP_MS = 2_000;
const EXIT_FATAL = 70;
/** Problems told of one configuration; a frame holds no more than so many bytes, and nobody reads on. */
const MAX_REJECTED = 1_000;

/** Runs a worker on the channel it inherited. Never returns; the process exits by itself. */
export async function runWorker(): Promise<void> {
  // Now, because the user that we become may not write there.
  flushCompileCache();
  const log = await createLogger({
    name: "worker",
    level: process.env["PORTICO_LOG_LEVEL"],
  });
  const counters = createCounters();
  let end: (error: Error | undefined) => void = () => process.exit(0);
  const channel: WorkerChannel = createChannel({
    stream: new net.Socket({ fd: CHANNEL_FD }),
    sends: toSupervisor,
    receives: toWorker,
    maxReceiveBytes: MAX_FROM_SUPERVISOR_BYTES,
    maxSendBytes: MAX_TO_SUPERVISOR_BYTES,
    onEnd: (error) => end(error),
  });
  const worker = createWorker(channel, counters, log);
  end = (error) => worker.orphaned(error);

  // A terminal's Ctrl-C and hang-up reach the whole process group; the supervisor decides what they mean.
  process.on("SIGINT", () => {});
  process.on("SIGHUP", () => {});
  process.on("SIGTERM", () => worker.leave("SIGTERM", undefined));
  process.on("uncaughtException", (error: unknown) => {
    log.fatal({ err: error }, "Uncaught exception");
    // Anything can be thrown, also null.
    const reason = error instanceof Error ? error.message : String(error);
    worker.leave(`uncaught exception: ${reason}`, EXIT_FATAL);
  });
}

type Worker = {
  /** The supervisor is gone. */
  orphaned(error: Error | undefined): void;
  /** Ends on its own account; with an exit status it was a fatal error. */
  leave(reason: string, exitCode: number | undefined): void;
};

function createWorker(channel: WorkerChannel, counters: Counters, log: Logger): Worker {
  const bus = createBusClient(channel, counters.worker);
  const store = createStoreClient(channel);
  const board = createBoardClient(channel);
  const health = createHealth();
  const sampler = createSampler(channel, counters);
  /** What comes while the site is being built waits for it. */
  let built: Promise<Site | undefined> = Promise.resolve(undefined);
  let site: Site | undefined;
  let drain: Drain | undefined;
  let reception: Reception | undefined;
  let stopMs = 0;
  let isLeaving = false;

  function exit(): void {
    void finish(site, sampler, channel);
  }

  function stop(withinMs: number): void {
    health.leave();
    if (drain) drain.stop(withinMs);
    else exit();
  }

  channel.serve({
    configure(sent) {
      const configuration = decodeConfiguration(sent);
      stopMs = configuration.config.global["stop-secs"] * MS_PER_SEC;
      store.become(configuration.worker);
      built = provision(configuration, {
        channel,
        counters,
        log,
        bus,
        store,
        board,
        health,
      });
      void built.then(async (found) => {
        if (!found) return;
        // Here, because nobody waits for an answer yet.
        await releaseMemory();
        site = found;
        reception = await openReception(configuration, { channel, counters, site });
        drain = createDrain(site, configuration.config, counters, exit);
        channel.send("ready", {});
      });
    },
    open: () => void listenAll(site, channel),
    offered: () => reception?.(),
    health: ({ allServe }) => health.hear(allServe),
    drain() {
      health.leave();
      if (drain) drain.drain();
      else exit();
    },
    stop: ({ withinMs }) => stop(withinMs),
    shed: () => drain?.shed(),
    certificates: ({ secrets }) => void built.then((found) => found?.renewCertificates(secrets)),
    tickets: ({ secret }) => void built.then((found) => found?.renewTickets(secret)),
    reopen: () => channel.send("reopened", { failed: site?.reopenLogs() ?? [] }),
    board: (update) => board.receive(update),
    history: (rows) => board.receiveHistory(rows),
    deliver: (message) => bus.deliver(message),
    departed: ({ worker }) => bus.departed(worker),
    arrived: () => bus.arrived(),
    stored: (change) => store.stored(change),
  });

  return {
    orphaned(error) {
      log.warn({ err: error }, "The supervisor is gone");
      stop(stopMs);
    },
    leave(reason, exitCode) {
      if (isLeaving) return;
      isLeaving = true;
      health.leave();
      if (exitCode !== undefined) process.exitCode = exitCode;
      channel.send("leaving", { reason });
      if (drain) drain.leave(exitCode === undefined ? stopMs : FATAL_STOP_MS);
      else exit();
    },
  };
}

async function provision(
  configuration: Configuration,
  tools: {
    readonly channel: WorkerChannel;
    readonly counters: Counters;
    readonly log: Logger;
    readonly bus: BusClient;
    readonly store: StoreClient;
    readonly board: BoardClient;
    readonly health: Health;
  },
): Promise<Site | undefined> {
  const { channel, counters, log, bus, store, board, health } = tools;
  try {
    // While we may: the user that we become may not get at the library that starts programs.
    if (startsPrograms(configuration.config)) await openLibc();
    const { handoverFd } = configuration;
    if (handoverFd !== undefined && !(await openHandoverEnd(handoverFd)))
      throw new Error("Cannot take connections from the supervisor: koffi does not load");
    const files = configuration.config.global["rlimit-nofile"];
    // Before privileges are dropped: only root can go above the limit it was started with.
    if (files !== undefined && !(await limitOpenFiles(files)))
      log.warn(`Cannot set the limit of open files to rlimit-nofile (${files}): it stays as it is`);
    if (configuration.user) dropPrivileges(configuration.user);
    return await provisionSite({
      configuration,
      activity: await createActivity(
        plugsIn(configuration.config) ? configuration.activityFd : undefined,
      ),
      counters,
      log,
      bus,
      store,
      health,
      askForLogs: () => channel.send("logsLost", {}),
      board,
    });
  } catch (error) {
    const problems =
      error instanceof ProvisionError
        ? [...error.problems]
        : [
            {
              vhost: -1,
              path: "",
              message: error instanceof Error ? error.message : String(error),
            },
          ];
    channel.send("rejected", { problems: problems.slice(0, MAX_REJECTED) });
    return undefined;
  }
}

function startsPrograms({ vhosts }: ServerConfig): boolean {
  return vhosts.some(({ mounts }) =>
    mounts.some(({ origin }) => /^(?:cgi|git)$/.test(origin.scheme)),
  );
}

/** What takes connections that the supervisor accepts; undefined where it does not. */
async function openReception(
  { handoverFd }: Configuration,
  tools: { readonly channel: WorkerChannel; readonly counters: Counters; readonly site: Site },
): Promise<Reception | undefined> {
  if (handoverFd === undefined) return undefined;
  const next = await openHandoverEnd(handoverFd);
  if (!next) return undefined;
  return createReception({ ...tools, next, acceptors: tools.site.acceptors });
}

/** Listens on every inherited socket; one that cannot be had is told with its address. */
async function listenAll(site: Site | undefined, channel: WorkerChannel): Promise<void> {
  const problems = await Promise.all(
    (site?.acceptors ?? []).map(async ({ listener, acceptor }) => {
      try {
        await acceptor.listen();
        return [];
      } catch (error) {
        const message = `Cannot listen on "${listener.address}": ${(error as NodeJS.ErrnoException).code}`;
        return [{ vhost: listener.vhosts[0] ?? -1, path: "port", message }];
      }
    }),
  );
  if (problems.flat().length > 0) channel.send("rejected", { problems: problems.flat() });
  else channel.send("serving", {});
}

/** Everything written, everything counted, then the end of the process. */
async function finish(
  site: Site | undefined,
  sampler: Sampler,
  channel: WorkerChannel,
): Promise<void> {
  await site?.stop();
  sampler.finish();
  channel.end(() => process.exit());
}

/** Whether there is any plugin that could hang. */
function plugsIn({ vhosts }: ServerConfig): boolean {
  return vhosts.some((vhost) => vhost["ws-protocols"].length > 0);
}
