// A gateway to programs that this worker starts, as the keys of a mount describe it.

import { HttpError } from "../../http/exchange.ts";
import type { Mount, MountContext } from "../../mount.ts";
import { createEnvironment } from "./environment.ts";
import { createGateway } from "./gateway.ts";
import { createInputTaker } from "./input.ts";
import { createLauncher, wrapperFor, type Launch } from "./launcher.ts";
import type { CgiLimits } from "./limits.ts";
import type { FindScript } from "./script.ts";
import { Slots } from "./slots.ts";

export type ProgramGatewayOptions = {
  readonly context: MountContext;
  readonly limits: CgiLimits;
  readonly findScript: FindScript;
  readonly cwd: string;
  /** A program, or the directory of several: what the site has no file mount for is rooted there. */
  readonly program: string;
  /** Idle time where "cgi-timeout" is not given. */
  readonly idleSecs?: number;
  /** Before what "cgi-env" says. */
  readonly environment?: readonly (readonly [name: string, value: string])[];
  /** Instead of what "cgi-body" says. */
  readonly streamsBody?: boolean;
};

const DEFAULT_IDLE_SECS = 5;

/** Starts a program for each request. */
export async function createProgramGateway(options: ProgramGatewayOptions): Promise<Mount> {
  const { context, cwd, findScript, program } = options;
  const { config, vhost, version, cgiCounters: counters } = context;
  const limits = { ...options.limits, maxRunning: config["cgi-max"] ?? options.limits.maxRunning };
  const settings = { ...config, "cgi-env": [...(options.environment ?? []), ...config["cgi-env"]] };
  const log = context.log.child({ vhost: vhost.name });
  const slots = new Slots(limits, counters);
  const starter = await context.starter();
  return createGateway({
    findScript,
    launch: await launcher(),
    carries: (value) => starter.carries(value),
    makeEnvironment: createEnvironment({
      version,
      program,
      config: settings,
      mounts: vhost.mounts,
    }),
    takeInput: createInputTaker(limits, options.streamsBody ?? config["cgi-body"] === "stream"),
    redirect: context.redirect,
    slots,
    idleMs: (config["cgi-timeout"] || (options.idleSecs ?? DEFAULT_IDLE_SECS)) * 1000,
    totalMs: config["cgi-max-secs"] * 1000,
    keeps: config["cgi-keep"],
    limits,
    counters,
    log,
  });

  async function launcher(): Promise<Launch> {
    const chroot = config["cgi-chroot"];
    const wrapper = wrapperFor(config, cwd);
    const busy = (cause: unknown): HttpError => slots.refusal(cause);
    try {
      return await createLauncher({ starter, cwd, wrapper, chroot, log, busy });
    } catch (error) {
      const isAsked = (name: string): boolean => /^cgi-(?:chroot|rlimit)/.test(name);
      const key = Object.keys(config).find(isAsked) ?? "origin";
      const reason = error instanceof Error ? error.message : String(error);
      context.refuse(key, `Cannot be done here: ${reason}`);
      return () => Promise.reject(new HttpError(500, "Not provisioned"));
    }
  }
}
