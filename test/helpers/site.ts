// A site without processes for tests: vhosts and mounts from configuration keys, the HTTP/1.1 front and a socket on port 0.

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { mountShape, type MountConfig } from "../../config/mount.ts";
import { vhostShape } from "../../config/vhost.ts";
import { createLogger, type Logger } from "../../log/logger.ts";
import { openPageCache, type PageCache } from "../../posix/page-cache.ts";
import { openPoller, type Poller } from "../../posix/poller.ts";
import { openStarter } from "../../posix/spawn.ts";
import type { Guard } from "../../worker/access/guard.ts";
import { mountKey } from "../../ipc/stats.ts";
import { createAccessLog } from "../../worker/access-log.ts";
import { createBareAcceptor } from "../../worker/bare-acceptor.ts";
import { createErrorPages } from "../../worker/error-pages.ts";
import { createCompressor } from "../../worker/compressor.ts";
import { createCounters, emptyCgi, type Counters } from "../../worker/counters.ts";
import { createFileCache } from "../../worker/file-cache.ts";
import { createDocroots } from "../../worker/docroot.ts";
import type { Clocks } from "../../worker/http/clocks.ts";
import { createLane, type Lane } from "../../worker/http/lane.ts";
import type { Front, FrontOptions } from "../../worker/http/front.ts";
import type { UpgradeRequest } from "../../worker/http/upgrade-request.ts";
import { defaultRequestLimits, type RequestLimits } from "../../worker/limits.ts";
import type { Mount } from "../../worker/mount.ts";
import { callback } from "../../worker/mounts/callback.ts";
import { file } from "../../worker/mounts/file/file.ts";
import { redirect } from "../../worker/mounts/redirect.ts";
import type { ProtocolHost } from "../../worker/protocol-host.ts";
import { createRouter, createSiteVhost, type LiveMount } from "../../worker/router.ts";

export type TestMount = {
  readonly mountpoint: string;
  /** Keys of a mount as in a file; without "origin" `handle` answers. */
  readonly keys?: Record<string, unknown>;
  readonly handle?: Mount["handle"];
  /** What the mount of `handle` has ready. */
  readonly ready?: Mount["ready"];
  readonly guard?: Guard;
};

export type TestVhost = {
  readonly name: string;
  readonly keys?: Record<string, unknown>;
  readonly mounts: readonly TestMount[];
  /** Where no mount matches. */
  readonly guard?: Guard;
  readonly protocols?: ReadonlyMap<string, ProtocolHost>;
  /** As if it had come over TLS. */
  readonly secure?: boolean;
};

export type TestSiteOptions = {
  readonly vhosts: readonly TestVhost[];
  readonly clocks?: Partial<Clocks>;
  readonly limits?: Partial<RequestLimits>;
  /** Serves all connections; by default HTTP/1.1 with the lane. */
  readonly createFront?: (options: FrontOptions) => Front;
  /** Sockets of Node instead of bare descriptors, which is what fronts get that can take them. */
  readonly usesStreams?: boolean;
  /** 0 by default: what is on disk is what is sent, at once. */
  readonly fileCacheBytes?: number;
  readonly pageCache?: () => Promise<PageCache | undefined>;
  readonly serverString?: string;
  readonly onUpgrade?: (upgrade: UpgradeRequest) => void;
  /** Takes the program's log, as JSON; by default nothing does. */
  readonly logDestination?: { write(line: string): void };
};

export type Accepted = EventEmitter & { readonly destroyed: boolean };

export type TestSite = {
  readonly port: number;
  readonly front: Front;
  readonly counters: Counters;
  /** Lines of the access log of all vhosts. */
  readonly logged: string[];
  /** What mounts refused, as "key: message". */
  readonly refused: string[];
  /** Connections in the order they were accepted; each tells "close". */
  readonly accepted: Accepted[];
};

const LISTENER = "test";

/** Starts a site that ends with the test. */
export async function startSite(t: TestContext, options: TestSiteOptions): Promise<TestSite> {
  const counters = createCounters();
  const logged: string[] = [];
  const refused: string[] = [];
  const accepted: Accepted[] = [];
  const { logDestination: destination } = options;
  const log = await createLogger(
    destination ? { name: "test", destination } : { name: "test", level: "silent" },
  );
  const compressor = createCompressor(log);
  const fileCache = createFileCache(options.fileCacheBytes ?? 0);
  t.after(() => compressor.close());
  const accessLog = createAccessLog(
    { write: (line) => void logged.push(line) },
    { format: "combined", vhost: "test:80" },
  );
  const vhosts = await Promise.all(
    options.vhosts.map(async (vhost) => {
      const config = {
        ...vhostShape.parse({ name: vhost.name, port: 80, ...vhost.keys }),
        mounts: vhost.mounts.map((mount) => mountConfig(mount.mountpoint, mount.keys)),
        "ws-protocols": [],
        where: { file: "conf", path: "vhosts[0]" },
      };
      const protocols = vhost.protocols ?? new Map<string, ProtocolHost>();
      const context = {
        vhost: config,
        log,
        version: "0.0.0-test",
        cgiCounters: emptyCgi(),
        redirect: () => assert.fail("No local redirects in this test"),
        starter: openStarter,
        readBoard: () => Promise.reject(new Error("No board in this test")),
        health: { state: "serving" as const },
        pageCache: options.pageCache ?? openPageCache,
        docroots: createDocroots(),
        compressor,
        fileCache,
        protocol: (name: string) => protocols.get(name),
        refuse: (key: string, message: string) => void refused.push(`${key}: ${message}`),
      };
      const mounts: LiveMount[] = await Promise.all(
        vhost.mounts.map(async (mount, index) => {
          const { handle, ready, guard } = mount;
          const own = config.mounts[index] ?? mountConfig("/");
          const tally = counters.mount(mountKey(`${vhost.name}:80`, mount.mountpoint));
          const built = handle
            ? { handle, ...(ready && { ready }) }
            : await provision({ ...context, config: own });
          return { config: own, mount: built, guard, tally };
        }),
      );
      const key = `${vhost.name}:80`;
      const secure = vhost.secure ?? false;
      const errorPages = createErrorPages(config, log);
      const built = createSiteVhost({
        config,
        errorPages,
        key,
        secure,
        counters: counters.vhost(key),
        accessLog,
        protocols,
        mounts,
        guard: vhost.guard,
      });
      await errorPages?.load((path) => built.match(path), context.refuse);
      return built;
    }),
  );
  const poller = await openPoller();
  const front = (options.createFront ?? createLane)({
    router: createRouter([{ listener: LISTENER, vhosts, overrides: [] }]),
    serverString: options.serverString,
    clocks: { headerMs: 10_000, sweepMs: 20, ...options.clocks },
    limits: { ...defaultRequestLimits, ...options.limits },
    counters,
    log,
    poller,
    onUpgrade: options.onUpgrade ?? ((upgrade) => upgrade.reject(501, "No WebSockets here")),
  });
  t.after(() => front.stop());
  t.after(() => poller?.stop());
  const site = { front, counters, logged, refused, accepted };
  if ("adoptBare" in front && !options.usesStreams && !vhosts[0]?.secure) {
    const port = poller && (await acceptBare(t, poller, front as Lane, counters, log, accepted));
    if (port !== undefined) return { port, ...site };
  }
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    accepted.push(socket);
    front.adopt(socket, {
      listener: LISTENER,
      remoteAddress: socket.remoteAddress ?? "",
      remotePort: socket.remotePort ?? 0,
      localAddress: socket.localAddress ?? "",
      localPort: socket.localPort ?? 0,
      secure: vhosts[0]?.secure ?? false,
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  return { port, ...site };
}

async function acceptBare(
  t: TestContext,
  poller: Poller,
  front: Lane,
  counters: Counters,
  log: Logger,
  accepted: Accepted[],
): Promise<number> {
  const bound = new net.BoundSocket({ host: "127.0.0.1", port: 0 });
  const { port } = bound.address();
  const listener = {
    address: LISTENER,
    fd: bound.fd(),
    port,
    secure: false,
    vhosts: [0],
    overrides: [],
  };
  const acceptor = createBareAcceptor(listener, counters, log, poller, (transport, connection) => {
    const one = Object.assign(new EventEmitter(), { destroyed: false });
    accepted.push(one);
    transport.onceClosed(() => {
      one.destroyed = true;
      one.emit("close");
    });
    front.adoptBare(transport, connection);
  });
  await acceptor.listen();
  t.after(() => bound.close());
  return port;
}

/** The first connection, as soon as it has been accepted. */
export async function firstAccepted({ accepted }: TestSite): Promise<Accepted> {
  for (;;) {
    const [first] = accepted;
    if (first) return first;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A directory that goes with the test. */
export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "portico-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function mountConfig(mountpoint: string, keys: Record<string, unknown> = {}): MountConfig {
  const shape = mountShape.parse({ mountpoint, origin: "callback://test", ...keys });
  return { ...shape, path: "mounts[0]" };
}

type ProvisionContext = Omit<Parameters<typeof file.provision>[0], "origin">;

function provision(context: ProvisionContext): Mount | Promise<Mount> {
  const { origin } = context.config;
  switch (origin.scheme) {
    case "file":
      return file.provision({ ...context, origin });
    case "redirect":
      return redirect.provision({ ...context, origin });
    case "callback":
      return callback.provision({ ...context, origin });
    default:
      throw new Error(`No ${origin.scheme} mounts in this test`);
  }
}
