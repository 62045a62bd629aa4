// A configuration becomes a running site: plugins started, mounts provisioned, certificates loaded. Whatever is wrong is
// collected and told at once; what had been started by then is stopped again.

import { accessSync, constants } from "node:fs";
import { dirname } from "node:path";
import { vhostKey } from "../config/listeners.ts";
import type { ProvisionProblem } from "../config/problems.ts";
import type { VhostConfig } from "../config/vhost.ts";
import type { Configuration, VhostSecrets, WorkerListener } from "../ipc/messages.ts";
import { mountKey } from "../ipc/stats.ts";
import { createAppendFile, type AppendFile } from "../log/append-file.ts";
import type { Logger } from "../log/logger.ts";
import { openFilesLimit } from "../posix/open-files.ts";
import type { Starter } from "../posix/child.ts";
import { openSendFile, type SendFile } from "../posix/send-file.ts";
import { openStarter } from "../posix/spawn.ts";
import { createAcceptor, type Acceptor } from "./accept.ts";
import { createAccess, type Access } from "./access/access.ts";
import type { Activity } from "./activity.ts";
import { createAdmission } from "./admission.ts";
import { createArrivals } from "./arrivals.ts";
import { createAccessLog } from "./access-log.ts";
import { createBoardReader, type ReadBoard, type WatchBoard } from "./board-reader.ts";
import type { BusClient } from "./bus.ts";
import { createErrorPages } from "./error-pages.ts";
import { createCompressor, type Compressor } from "./compressor.ts";
import { createFileCache, type FileCache } from "./file-cache.ts";
import type { Counters } from "./counters.ts";
import { createDocroots, type Docroots } from "./docroot.ts";
import { configuredClocks } from "./http/clocks.ts";
import { createFronts } from "./fronts.ts";
import { dispatch } from "./http/dispatch.ts";
import type { ByteString, Exchange } from "./http/exchange.ts";
import type { Http1Front } from "./http/node-http1.ts";
import { redirectLocally } from "./http/redirected-exchange.ts";
import { requestLimits } from "./limits.ts";
import type { Health } from "./health.ts";
import { intercepted } from "./mounts/callback.ts";
import { mountTypes } from "./mounts/table.ts";
import { loadPlugins, startProtocols, type LoadedPlugins } from "./plugin-loader.ts";
import { createProtocolContext, stopProtocols } from "./protocol-context.ts";
import { createRouter, createSiteVhost, type LiveMount, type SiteVhost } from "./router.ts";
import { createReports } from "./reports.ts";
import type { StoreClient } from "./store.ts";
import { createRawTable, type RawTable } from "./raw.ts";
import type { TlsFront } from "./tls.ts";
import { createUpgrader, type Upgrader } from "./upgrade.ts";

const MS_PER_SEC = 1_000;

export type SiteServices = {
  readonly configuration: Configuration;
  readonly counters: Counters;
  readonly log: Logger;
  readonly bus: BusClient;
  readonly store: StoreClient;
  readonly activity: Activity;
  /** Asks for log files that are gone. */
  readonly askForLogs: () => void;
  readonly watchBoard: WatchBoard;
  readonly health: Health;
};

export type Site = {
  readonly front: Http1Front;
  readonly upgrader: Upgrader;
  readonly raw: RawTable;
  readonly acceptors: readonly { readonly listener: WorkerListener; readonly acceptor: Acceptor }[];
  readonly vhosts: readonly VhostConfig[];
  /** New certificates for connections from now on. */
  renewCertificates(secrets: readonly VhostSecrets[]): void;
  /** A new secret to make the keys of session tickets from. */
  renewTickets(secret: Uint8Array): void;
  /** Opens the log files again; returns what failed. */
  reopenLogs(): string[];
  /** Ends mounts and protocols, cuts what is still connected, writes the logs out. */
  stop(): Promise<void>;
};

/** The configuration cannot be provisioned. */
export class ProvisionError extends Error {
  readonly code = "PROVISION";
  readonly problems: readonly ProvisionProblem[];
  constructor(problems: readonly ProvisionProblem[]) {
    super(problems.map((problem) => problem.message).join("; "));
    this.problems = problems;
  }
}

/** Builds the site. Throws ProvisionError with every problem found. */
export async function provisionSite(services: SiteServices): Promise<Site> {
  const { configuration, counters, log } = services;
  const { config } = configuration;
  const problems: ProvisionProblem[] = [];
  const cleanups = new Set<() => void>();
  const logFiles = new Map<string, AppendFile>();

  const enabled = config.vhosts.flatMap((vhost) => vhost["ws-protocols"]);
  const plugins = await loadPlugins({
    directories: config.global["plugin-dir"],
    wanted: new Set(enabled.map(({ name }) => name)),
    packages: enabled.flatMap(({ keys }) => keys.plugin ?? []),
    base: config.directory,
  });
  for (const { file, message } of plugins.problems)
    problems.push({ ...placeOfPlugin(file, config), message: `${file}: ${message}` });

  let starter: Promise<Starter> | undefined;
  let sendFile: Promise<SendFile | undefined> | undefined;
  const docroots = createDocroots();
  const access = createAccess(configuration, log);
  cleanups.add(() => access.stop());
  const readBoard = createBoardReader(services.watchBoard);
  const compressor = createCompressor(log);
  cleanups.add(() => compressor.close());
  const fileCache = createFileCache(config.global["file-cache-bytes"]);
  const siteVhosts: SiteVhost[] = [];
  for (const [index, vhost] of config.vhosts.entries()) {
    const refuse = (path: string, message: string): void => {
      problems.push({ vhost: index, path, message });
    };
    siteVhosts.push(
      await provisionVhost(vhost, {
        ...services,
        access,
        plugins,
        logFiles,
        cleanups,
        docroots,
        readBoard,
        compressor,
        fileCache,
        refuse,
        starter: () => (starter ??= openStarter()),
        sendFile: () => (sendFile ??= openSendFile()),
        port: portOf(index, configuration),
      }),
    );
  }

  const pick = (indexes: readonly number[]): SiteVhost[] =>
    indexes.flatMap((index) => siteVhosts[index] ?? []);
  const router = createRouter(
    configuration.listeners.map((listener) => ({
      listener: listener.address,
      vhosts: pick(listener.vhosts),
      overrides: listener.overrides.map(({ address, vhosts }) => ({
        address,
        vhosts: pick(vhosts),
      })),
    })),
  );
  const pingSecs = config.global["ws-pingpong-secs"];
  const upgrader = createUpgrader({
    worker: configuration.worker,
    counters,
    log,
    ...(pingSecs !== undefined && { idleMs: pingSecs * MS_PER_SEC }),
  });
  const front = createFronts({
    router,
    serverString: config.global["server-string"],
    clocks: configuredClocks(config.global),
    limits: requestLimits(config.global),
    counters,
    log,
    onUpgrade: (upgrade) => upgrader.handle(upgrade),
  });
  const tlsFronts: TlsFront[] = [];
  const raw = createRawTable(configuration.worker, log);
  const admission = createAdmission({
    config,
    counters,
    log,
    openFiles: openFilesLimit(),
    shedIdle: (count) => front.shedIdle(count),
  });
  const acceptors = configuration.listeners.map((listener) => {
    const arrivals = createArrivals(listener, { ...services, front, router, raw });
    if (arrivals.tls) tlsFronts.push(arrivals.tls);
    const door = admission.door(listener, (socket) => arrivals.take(socket));
    const makeRoom = (): void => admission.makeRoom();
    return { listener, acceptor: createAcceptor(listener, counters, log, door, makeRoom) };
  });

  const stop = async (): Promise<void> => {
    for (const { acceptor } of acceptors) acceptor.close();
    upgrader.stop();
    raw.closeAll();
    front.stop();
    for (const cleanup of cleanups) cleanup();
    await Promise.all([...logFiles.values()].map((file) => file.close()));
  };
  services.activity.publish();
  if (problems.length > 0) {
    await stop();
    throw new ProvisionError(problems);
  }
  return {
    front,
    upgrader,
    raw,
    acceptors,
    vhosts: config.vhosts,
    renewCertificates(secrets) {
      for (const tls of tlsFronts) tls.renew(secrets);
    },
    renewTickets(secret) {
      for (const tls of tlsFronts) tls.renewTickets(secret);
    },
    reopenLogs: () => reopenAll(logFiles),
    stop,
  };
}

/** The key that named a plugin. */
function placeOfPlugin(
  name: string,
  { vhosts }: SiteServices["configuration"]["config"],
): Pick<ProvisionProblem, "vhost" | "path"> {
  for (const [vhost, { "ws-protocols": protocols }] of vhosts.entries())
    for (const { keys, path } of protocols)
      if (keys.plugin === name) return { vhost, path: `${path}.plugin` };
  return { vhost: -1, path: "plugin-dir" };
}

type VhostServices = SiteServices & {
  readonly access: Access;
  readonly plugins: LoadedPlugins;
  readonly logFiles: Map<string, AppendFile>;
  readonly cleanups: Set<() => void>;
  readonly docroots: Docroots;
  readonly readBoard: ReadBoard;
  readonly compressor: Compressor;
  readonly fileCache: FileCache;
  readonly refuse: (path: string, message: string) => void;
  readonly starter: () => Promise<Starter>;
  readonly sendFile: () => Promise<SendFile | undefined>;
  readonly port: number;
};

async function provisionVhost(vhost: VhostConfig, services: VhostServices): Promise<SiteVhost> {
  const { counters, log, refuse, cleanups, access } = services;
  const key = vhostKey(vhost);
  const secure = vhost["host-ssl-cert"] !== undefined;
  const protocols = startProtocols(
    vhost,
    services.plugins,
    (name) => createProtocolContext(name, vhost, services),
    refuse,
    services.activity,
  );
  cleanups.add(() => stopProtocols(protocols, log));

  const guards = access.forVhost(vhost);
  const mounts: LiveMount[] = [];
  for (const config of vhost.mounts) {
    const type = mountTypes.find((candidate) => candidate.scheme === config.origin.scheme);
    if (!type) {
      refuse(`${config.path}.origin`, `Nothing serves ${config.origin.scheme}:// origins`);
      continue;
    }
    const context = {
      vhost,
      config,
      origin: config.origin as never,
      log,
      version: services.configuration.version,
      cgiCounters: counters.cgi(mountKey(key, config.mountpoint)),
      redirect: (exchange: Exchange, location: ByteString) => {
        const redirected = redirectLocally(exchange, location);
        if (redirected) dispatch(redirected, site.match(redirected.path), site.guard);
      },
      starter: services.starter,
      pushGate: guards.pushGateOf(config),
      docroots: services.docroots,
      readBoard: services.readBoard,
      health: services.health,
      compressor: services.compressor,
      fileCache: services.fileCache,
      sendFile: services.sendFile,
      protocol: (name: string) => protocols.get(name),
      refuse: (option: string, message: string) => refuse(`${config.path}.${option}`, message),
    };
    const mount = intercepted(await type.provision(context), context);
    mounts.push({ config, mount, guard: guards.guardOf(config) });
    if (mount.stop) cleanups.add(() => mount.stop?.());
  }
  const errorPages = createErrorPages(vhost, log);
  const site = createSiteVhost({
    config: vhost,
    errorPages,
    key,
    secure,
    counters: counters.vhost(key),
    accessLog: openAccessLog(vhost, services),
    protocols,
    mounts,
    trustedProxies: services.configuration.config.global["trusted-proxies"],
    guard: guards.guard,
    gates: guards.gates,
  });
  await errorPages?.load((path) => site.match(path), refuse);
  return site;
}

function openAccessLog(vhost: VhostConfig, services: VhostServices): SiteVhost["accessLog"] {
  const path = vhost["access-log"];
  if (path === undefined) return undefined;
  try {
    if (services.configuration.isProbe) {
      // The supervisor would have made the file; all that is left to ask is whether this user gets to it.
      accessSync(dirname(path), constants.X_OK);
      return undefined;
    }
    // Vhosts may share one file: one buffer, so that lines stay whole and in order.
    const file = services.logFiles.get(path) ?? openLogFile(path, services);
    services.logFiles.set(path, file);
    return createAccessLog(file, { format: vhost["access-log-format"], vhost: vhostKey(vhost) });
  } catch (error) {
    services.refuse(
      "access-log",
      `Cannot open "${path}": ${(error as NodeJS.ErrnoException).code}`,
    );
    return undefined;
  }
}

/** A disk that is full costs log lines, said once and counted, never requests. */
function openLogFile(path: string, { log, counters, askForLogs }: SiteServices): AppendFile {
  // No warning: between a renaming and its "reopen" this is how things are, and the supervisor complains if it cannot help.
  const reports = createReports((message) => log.info(message));
  return createAppendFile(path, {
    onLost(error) {
      reports.say(
        "lost",
        `"${path}" is not the log file any more, and a new one fails: ${error.message}`,
      );
      // The supervisor may make files where this user may not.
      askForLogs();
    },
    onFailure: (error) =>
      log.error({ err: error }, `Cannot write to "${path}": lines will be lost`),
    onDrop: (lines) => (counters.worker.logLinesDropped += lines),
  });
}

function reopenAll(logFiles: ReadonlyMap<string, AppendFile>): string[] {
  return [...logFiles].flatMap(([path, file]) => {
    try {
      file.reopen();
      return [];
    } catch (error) {
      return [`Cannot reopen "${path}": ${(error as NodeJS.ErrnoException).code}`];
    }
  });
}

function portOf(vhost: number, { listeners }: Configuration): number {
  const own = listeners.find((listener) =>
    [listener.vhosts, ...listener.overrides.map((override) => override.vhosts)].some((list) =>
      list.includes(vhost),
    ),
  );
  return own?.port ?? 0;
}
