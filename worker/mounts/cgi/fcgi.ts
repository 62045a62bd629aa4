// A mount answered by a FastCGI server, such as php-fpm. With "fcgi-root" the path of a request names a script below that
// directory, and is looked up here: what is no such file never reaches the interpreter.

import { realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import type { Origin } from "../../../config/mount.ts";
import { HttpError, type ByteString } from "../../http/exchange.ts";
import { defineMount, type Mount, type MountContext } from "../../mount.ts";
import { createEnvironment } from "./environment.ts";
import { startFcgi } from "./fcgi-client.ts";
import { createGateway } from "./gateway.ts";
import { createInputTaker } from "./input.ts";
import { errorCode, type Launch } from "./launcher.ts";
import { cgiLimits } from "./limits.ts";
import type { FindScript, Script } from "./script.ts";
import { Slots } from "./slots.ts";

/** Asks a FastCGI server. `"origin": "fcgi://unix:/run/php/php-fpm.sock"` */
export const fcgi = defineMount({ scheme: "fcgi", provision: createFcgiMount });

const CONNECT_MS = 5_000;
const DEFAULT_IDLE_SECS = 60;

async function createFcgiMount(
  context: MountContext<Extract<Origin, { scheme: "fcgi" }>>,
): Promise<Mount> {
  const { config, vhost, version, origin, cgiCounters: counters } = context;
  const limits = { ...cgiLimits, maxRunning: config["cgi-max"] ?? cgiLimits.maxRunning };
  const slots = new Slots(limits, counters);
  const log = context.log.child({ vhost: vhost.name });
  const root = config["fcgi-root"];
  const launch: Launch = async (_script, environment, stdin) => {
    try {
      return await startFcgi(origin.address, environment, stdin, CONNECT_MS);
    } catch (cause) {
      const code = errorCode(cause);
      log.error(`Cannot reach "${origin.text}": ${code}`);
      // EAGAIN: the queue of a Unix socket is full.
      if (code === "EAGAIN" || code === "EMFILE") throw slots.refusal(cause);
      throw new HttpError(code === "ETIMEDOUT" ? 504 : 502, "The server behind does not answer", {
        cause,
      });
    }
  };
  return createGateway({
    findScript: root === undefined ? wholeMount : await scriptsBelow(root, context),
    launch,
    carries: () => true,
    makeEnvironment: createEnvironment({
      version,
      program: root === undefined ? "/" : join(root, "any"),
      config,
      mounts: vhost.mounts,
    }),
    takeInput: createInputTaker(limits, config["cgi-body"] === "stream"),
    redirect: context.redirect,
    slots,
    idleMs: (config["cgi-timeout"] || DEFAULT_IDLE_SECS) * 1000,
    totalMs: config["cgi-max-secs"] * 1000,
    keeps: false,
    limits,
    counters,
    log,
  });
}

/** One application for everything below the mountpoint; which file it is made of is its own affair. */
function wholeMount(pathInfo: ByteString): Script {
  return { program: "FastCGI", args: [], file: undefined, name: "", pathInfo, isNph: false };
}

const SUFFIX = ".php";

/** The first segment with the suffix ends the name of the script; of a directory it is its index. */
async function scriptsBelow(root: string, { refuse }: MountContext): Promise<FindScript> {
  const place = await realpath(root).catch((error: unknown) => {
    refuse("fcgi-root", `Cannot read "${root}": ${errorCode(error)}`);
    return root;
  });
  return async (rest) => {
    const end = /\.php(?=\/|$)/.exec(rest);
    const name = end
      ? rest.slice(0, end.index + SUFFIX.length)
      : join(rest || "/", `index${SUFFIX}`);
    const pathInfo = end ? rest.slice(name.length) : "";
    const segments = Buffer.from(name, "latin1").toString("utf8");
    const isOdd =
      segments.includes("\ufffd") || segments.split("/").some((one) => one.startsWith("."));
    const file = join(place, segments);
    if (isOdd || !(await isInside(place, file)))
      throw new HttpError(404, "There is no such script");
    return { program: file, args: [], file, name, pathInfo, isNph: false };
  };
}

async function isInside(place: string, file: string): Promise<boolean> {
  try {
    const [real, found] = await Promise.all([realpath(file), stat(file)]);
    return real.startsWith(place.endsWith(sep) ? place : place + sep) && found.isFile();
  } catch {
    return false;
  }
}
