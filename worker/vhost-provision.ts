// One vhost of the configuration becomes one that runs: its protocols, guards, mounts, error pages and access log. What is
// wrong is told to `refuse`; what has to be ended joins `cleanups`.

import { vhostKey } from "../config/listeners.ts";
import type { VhostConfig } from "../config/vhost.ts";
import { mountKey } from "../ipc/stats.ts";
import type { Starter } from "../posix/child.ts";
import type { PageCache } from "../posix/page-cache.ts";
import type { Access } from "./access/access.ts";
import type { ReadBoard } from "./board-reader.ts";
import type { Compressor } from "./compressor.ts";
import type { Docroots } from "./docroot.ts";
import { createErrorPages } from "./error-pages.ts";
import type { FileCache } from "./file-cache.ts";
import { dispatch } from "./http/dispatch.ts";
import type { ByteString, Exchange } from "./http/exchange.ts";
import { redirectLocally } from "./http/redirected-exchange.ts";
import { intercepted } from "./mounts/callback.ts";
import { mountTypes } from "./mounts/table.ts";
import { startProtocols, type LoadedPlugins } from "./plugin-loader.ts";
import { createProtocolContext, stopProtocols } from "./protocol-context.ts";
import { createSiteVhost, type LiveMount, type SiteVhost } from "./router.ts";
import type { SiteLogs } from "./site-logs.ts";
import type { SiteServices } from "./site-services.ts";

export type VhostServices = SiteServices & {
  readonly access: Access;
  readonly plugins: LoadedPlugins;
  readonly logs: SiteLogs;
  readonly cleanups: Set<() => void>;
  readonly docroots: Docroots;
  readonly readBoard: ReadBoard;
  readonly compressor: Compressor;
  readonly fileCache: FileCache;
  readonly refuse: (path: string, message: string) => void;
  readonly starter: () => Promise<Starter>;
  readonly pageCache: () => Promise<PageCache | undefined>;
  readonly port: number;
};

/** Provisions one vhost. */
export async function provisionVhost(
  vhost: VhostConfig,
  services: VhostServices,
): Promise<SiteVhost> {
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
      pageCache: services.pageCache,
      protocol: (name: string) => protocols.get(name),
      refuse: (option: string, message: string) => refuse(`${config.path}.${option}`, message),
    };
    const mount = intercepted(await type.provision(context), context);
    const tally = counters.mount(mountKey(key, config.mountpoint));
    mounts.push({ config, mount, guard: guards.guardOf(config), tally });
    if (mount.stop) cleanups.add(() => mount.stop?.());
  }
  const errorPages = createErrorPages(vhost, log);
  const site = createSiteVhost({
    config: vhost,
    errorPages,
    key,
    secure,
    counters: counters.vhost(key),
    accessLog: services.logs.open(vhost, refuse),
    protocols,
    mounts,
    trustedProxies: services.configuration.config.global["trusted-proxies"],
    guard: guards.guard,
    gates: guards.gates,
  });
  await errorPages?.load((path) => site.match(path), refuse);
  return site;
}
