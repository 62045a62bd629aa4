// A CGI mount behind the HTTP front, with the script of the test as its program.

import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { mountShape, type MountConfig } from "../../../../config/mount.ts";
import { vhostShape } from "../../../../config/vhost.ts";
import { createLogger } from "../../../../log/logger.ts";
import type { Starter } from "../../../../posix/child.ts";
import { openStarter } from "../../../../posix/spawn.ts";
import { emptyCgi, type CgiCounters } from "../../../../worker/counters.ts";
import { createFileCache } from "../../../../worker/file-cache.ts";
import { createCompressor } from "../../../../worker/compressor.ts";
import { HttpError } from "../../../../worker/http/exchange.ts";
import { redirectLocally } from "../../../../worker/http/redirected-exchange.ts";
import { createDocroots } from "../../../../worker/docroot.ts";
import type { Clocks } from "../../../../worker/http/clocks.ts";
import type { Mount } from "../../../../worker/mount.ts";
import { createCgiMount } from "../../../../worker/mounts/cgi/cgi.ts";
import { cgiLimits, type CgiLimits } from "../../../../worker/mounts/cgi/limits.ts";
import { startSite, temporaryDirectory } from "../../../helpers/site.ts";

export type CgiServer = {
  readonly url: string;
  readonly port: number;
  /** Where the script is. */
  readonly directory: string;
  readonly program: string;
  readonly mount: Mount;
  /** The four that most tests ask for. */
  readonly counters: Readonly<
    Record<"cgiStarted" | "cgiFailed" | "cgiTimedOut" | "cgiAlive", number>
  >;
  readonly cgi: CgiCounters;
  /** What was logged, as JSON objects. */
  readonly log: readonly Record<string, unknown>[];
  readonly refusals: readonly string[];
};

export type CgiServerOptions = {
  readonly config?: Partial<MountConfig>;
  readonly limits?: Partial<CgiLimits>;
  readonly clocks?: Partial<Clocks>;
  readonly otherMounts?: readonly MountConfig[];
  /** Instead of a script. */
  readonly program?: string;
  readonly starter?: () => Promise<Starter>;
};

/** Serves `script`, a whole file or the lines of a shell script, under /run. */
export async function serveCgi(
  t: TestContext,
  script: string,
  options: CgiServerOptions = {},
): Promise<CgiServer> {
  const directory = temporaryDirectory(t);
  const program = options.program ?? join(directory, "program");
  if (options.program === undefined) {
    writeFileSync(program, script.startsWith("#!") ? script : `#!/bin/sh\n${script}\n`);
    chmodSync(program, 0o755);
  }
  const config = mountConfig("/run", `cgi://${program}`, { "cgi-timeout": 60, ...options.config });
  const cgi = emptyCgi();
  const log: Record<string, unknown>[] = [];
  const refusals: string[] = [];
  const logger = await createLogger({
    name: "test",
    destination: { write: (line) => void log.push(JSON.parse(line)) },
  });
  const mount: Mount = await createCgiMount(
    {
      vhost: {
        ...vhostShape.parse({ name: "localhost", port: 0 }),
        mounts: [config, ...(options.otherMounts ?? [])],
        "ws-protocols": [],
        where: { file: "conf", path: "vhosts[0]" },
      },
      config,
      origin: { scheme: "cgi", program },
      log: logger,
      version: "0.0.0-test",
      cgiCounters: cgi,
      redirect(exchange, location) {
        const redirected = redirectLocally(exchange, location);
        if (!redirected) return;
        const path = redirected.path;
        const isHere = path === config.mountpoint || path.startsWith(`${config.mountpoint}/`);
        if (!isHere) return redirected.fail(new HttpError(404, ""));
        Promise.resolve(mount.handle(redirected, path.slice(config.mountpoint.length))).catch(
          (error: unknown) => redirected.fail(error),
        );
      },
      starter: options.starter ?? openStarter,
      readBoard: () => Promise.reject(new Error("No board in this test")),
      health: { state: "serving" as const },
      docroots: createDocroots(),
      compressor: createCompressor(logger),
      fileCache: createFileCache(0),
      protocol: () => undefined,
      refuse: (key, message) => void refusals.push(`${key}: ${message}`),
    },
    { ...cgiLimits, ...options.limits },
  );
  t.after(() => mount.stop?.());
  const { mountpoint } = config;
  const { port } = await startSite(t, {
    vhosts: [
      {
        name: "localhost",
        mounts: [{ mountpoint, handle: (exchange, rest) => mount.handle(exchange, rest) }],
      },
    ],
    ...(options.clocks && { clocks: options.clocks }),
  });
  const url = `http://127.0.0.1:${port}${mountpoint}`;
  const counters = {
    get cgiStarted() {
      return cgi.started;
    },
    get cgiFailed() {
      return cgi.failed;
    },
    get cgiTimedOut() {
      return cgi.timedOut;
    },
    get cgiAlive() {
      return cgi.alive;
    },
  };
  return { url, port, directory, program, mount, counters, cgi, log, refusals };
}

/** A mount as a configuration file would make it, but for `keys`. */
export function mountConfig(
  mountpoint: string,
  origin: string,
  keys: Partial<MountConfig> = {},
): MountConfig {
  return { ...mountShape.parse({ mountpoint, origin }), path: "mounts[0]", ...keys };
}
