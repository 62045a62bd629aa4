// A configuration becomes a running site: plugins started, mounts provisioned, certificates loaded. Whatever is wrong is
// collected and told at once; what had been started by then is stopped again.

import type { ProvisionProblem } from "../config/problems.ts";
import type { VhostConfig } from "../config/vhost.ts";
import type { Configuration, VhostSecrets, WorkerListener } from "../ipc/messages.ts";
import { openFilesLimit } from "../posix/open-files.ts";
import type { Starter } from "../posix/child.ts";
import { openPageCache, type PageCache } from "../posix/page-cache.ts";
import { openOpenSsl } from "../posix/openssl.ts";
import { openPoller } from "../posix/poller.ts";
import { openStarter } from "../posix/spawn.ts";
import { createAcceptor, type Acceptor } from "./accept.ts";
import { createAccess } from "./access/access.ts";
import { createAdmission } from "./admission.ts";
import { createArrivals } from "./arrivals.ts";
import { createBareAcceptor } from "./bare-acceptor.ts";
import { createBoardReader } from "./board-reader.ts";
import { createCompressor } from "./compressor.ts";
import { createFileCache } from "./file-cache.ts";
import { watchDescriptors } from "./descriptor-watch.ts";
import { createDocroots } from "./docroot.ts";
import { configuredClocks } from "./http/clocks.ts";
import { createFronts } from "./fronts.ts";
import type { Front } from "./http/front.ts";
import { createWheel, type Ringing } from "./http/wheel.ts";
import { requestLimits } from "./limits.ts";
import { loadPlugins } from "./plugin-loader.ts";
import { createRouter, type SiteVhost } from "./router.ts";
import type { SiteServices } from "./site-services.ts";
import { createSiteLogs } from "./site-logs.ts";
import { createRawTable, type RawTable } from "./raw.ts";
import type { TlsFront } from "./tls.ts";
import { createUpgrader, type Upgrader } from "./upgrade.ts";
import { provisionVhost } from "./vhost-provision.ts";

const MS_PER_SEC = 1_000;

export type Site = {
  readonly front: Front;
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
  let pageCache: Promise<PageCache | undefined> | undefined;
  const docroots = createDocroots();
  const logs = createSiteLogs({ ...services, isProbe: configuration.isProbe ?? false });
  const access = createAccess(configuration, log, counters.worker);
  cleanups.add(() => access.stop());
  const readBoard = createBoardReader((listener) => services.board.watch(listener));
  const compressor = createCompressor(log, counters.worker);
  cleanups.add(() => compressor.close());
  const fileCache = createFileCache(config.global["file-cache-bytes"], counters.worker);
  counters.holdings = () => ({
    cacheFiles: fileCache.files,
    cacheBytes: fileCache.bytes,
    compressedBytes: compressor.bytes,
  });
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
        logs,
        cleanups,
        docroots,
        readBoard,
        compressor,
        fileCache,
        refuse,
        starter: () => (starter ??= openStarter()),
        pageCache: () => (pageCache ??= openPageCache()),
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
  const poller = await openPoller();
  const front = createFronts({
    router,
    serverString: config.global["server-string"],
    clocks: configuredClocks(config.global),
    limits: requestLimits(config.global),
    counters,
    log,
    poller,
    onUpgrade: (upgrade) => upgrader.handle(upgrade),
  });
  const tlsFronts: TlsFront[] = [];
  const raw = createRawTable(configuration.worker, counters, log);
  const admission = createAdmission({
    config,
    counters,
    log,
    openFiles: openFilesLimit(),
    shedIdle: (count) => front.shedIdle(count),
  });
  const makeRoom = (): void => admission.makeRoom();
  cleanups.add(watchDescriptors(log, makeRoom));
  const openSsl = await openOpenSsl();
  const wheel = createWheel<Ringing>(MS_PER_SEC);
  cleanups.add(() => wheel.stop());
  const acceptors = configuration.listeners.map((listener) => {
    const arrivals = createArrivals(listener, { ...services, front, router, raw, openSsl, wheel });
    if (arrivals.tls) tlsFronts.push(arrivals.tls);
    const bareDoor = arrivals.takeBare && admission.bareDoor(listener, arrivals.takeBare);
    if (poller && bareDoor)
      return {
        listener,
        acceptor: createBareAcceptor(listener, counters, log, poller, bareDoor, makeRoom),
      };
    const door = admission.door(listener, (socket) => arrivals.take(socket));
    return { listener, acceptor: createAcceptor(listener, counters, log, door, makeRoom) };
  });

  const stop = async (): Promise<void> => {
    for (const { acceptor } of acceptors) acceptor.close();
    upgrader.stop();
    raw.closeAll();
    front.stop();
    poller?.stop();
    for (const cleanup of cleanups) cleanup();
    await logs.close();
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
    reopenLogs: () => logs.reopen(),
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

function portOf(vhost: number, { listeners }: Configuration): number {
  const own = listeners.find((listener) =>
    [listener.vhosts, ...listener.overrides.map((override) => override.vhosts)].some((list) =>
      list.includes(vhost),
    ),
  );
  return own?.port ?? 0;
}
