// A mount answered by a program (RFC 3875): one mount is one program, what follows the mountpoint is PATH_INFO.
// No shell and no arguments: a request reaches the program as environment and stdin only (RFC 3875 4.4 lets us).

import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { dirname } from "node:path";
import type { Origin } from "../../../config/mount.ts";
import type { Child, Environment } from "../../../posix/child.ts";
import { HttpError } from "../../http/exchange.ts";
import { defineMount, type Mount, type MountContext } from "../../mount.ts";
import { createEnvironment } from "./environment.ts";
import { createInputTaker } from "./input.ts";
import { cgiLimits, type CgiLimits } from "./limits.ts";
import { CgiRun } from "./run.ts";
import { Slots } from "./slots.ts";

/** Runs a program. `"origin": "cgi:///usr/lib/cgit/cgit.cgi"` */
export const cgi = defineMount({
  scheme: "cgi",
  provision: (context) => createCgiMount(context, cgiLimits),
});

const METHODS: readonly string[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** A mount within the given limits. */
export async function createCgiMount(
  context: MountContext<Extract<Origin, { scheme: "cgi" }>>,
  limits: CgiLimits,
): Promise<Mount> {
  const { program } = context.origin;
  const { cgiCounters: counters, config, vhost } = context;
  const log = context.log.child({ vhost: vhost.name, script: program });
  const cwd = config["cgi-chdir"] ?? dirname(program);
  await checkAccess(context, cwd);

  const idleMs = config["cgi-timeout"] * 1000;
  const { version } = context;
  const makeEnvironment = createEnvironment({ version, program, config, mounts: vhost.mounts });
  const takeInput = createInputTaker(limits);
  const slots = new Slots(limits);
  const starter = await context.starter();
  const runs = new Set<CgiRun>();

  async function start(environment: Environment, stdin: "pipe" | "none"): Promise<Child> {
    let child: Child;
    try {
      child = await starter.start({ program, args: [], environment, cwd, stdin });
    } catch (error) {
      counters.cgiFailed += 1;
      log.error(`Cannot start "${program}": ${errorCode(error)}`);
      throw await startRefusal(error);
    }
    counters.cgiStarted += 1;
    counters.cgiAlive += 1;
    void child.exited.then(() => (counters.cgiAlive -= 1));
    return child;
  }

  /** What a failed start is to the client. */
  async function startRefusal(cause: unknown): Promise<HttpError> {
    switch (errorCode(cause)) {
      case "ENOENT": // Also a missing interpreter, or a missing working directory.
        return (await isThere(program))
          ? new HttpError(502, "The program cannot be started", { cause })
          : new HttpError(404, "There is no such program", { cause });
      case "E2BIG":
        return new HttpError(431, "The request is too long for a program's environment", { cause });
      case "EAGAIN":
      case "EMFILE":
      case "ENFILE":
      case "ENOMEM":
        return slots.refusal(cause);
      default:
        return new HttpError(502, "The program cannot be started", { cause });
    }
  }

  return {
    async handle(exchange, rest) {
      if (!METHODS.includes(exchange.method))
        throw new HttpError(405, "The program takes no such method", {
          headers: [["Allow", METHODS.join(", ")]],
        });
      if (!starter.carries(rest)) throw new HttpError(400, "The path is not UTF-8");
      const gone = new AbortController();
      exchange.onAbort(() => gone.abort());
      using place = await slots.enter(gone.signal);
      if (place === undefined) return;
      await using input = await takeInput(exchange);
      if (gone.signal.aborted) return;
      if (slots.isClosed) throw slots.refusal();
      const environment = makeEnvironment(exchange, rest, input.bytes);
      const child = await start(environment, input.bytes > 0 ? "pipe" : "none");
      const run = new CgiRun(child, {
        exchange,
        input,
        gone: gone.signal,
        idleMs,
        limits,
        counters,
        log: log.child({ child: child.pid }),
      });
      runs.add(run);
      if (slots.isClosed) run.stop(); // stop() came while the program was starting.
      try {
        await run.finish();
      } finally {
        runs.delete(run);
      }
    },

    stop() {
      slots.close();
      for (const run of runs) run.stop();
    },
  };
}

/** The user of this worker may be allowed less than the supervisor, who looked before. */
async function checkAccess(
  context: MountContext<Extract<Origin, { scheme: "cgi" }>>,
  cwd: string,
): Promise<void> {
  const { origin, refuse } = context;
  await access(origin.program, constants.X_OK).catch((error: unknown) =>
    refuse("origin", `Cannot run "${origin.program}": ${errorCode(error)}`),
  );
  await access(cwd, constants.X_OK).catch((error: unknown) =>
    refuse("cgi-chdir", `Cannot enter "${cwd}": ${errorCode(error)}`),
  );
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
