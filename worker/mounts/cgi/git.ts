// Repositories over HTTP by git's own CGI program. What would write is asked for a password here, or refused, so that the
// configuration of a repository cannot open it.

import { access, constants } from "node:fs/promises";
import { join } from "node:path";
import type { Origin } from "../../../config/mount.ts";
import { HttpError, type Exchange } from "../../http/exchange.ts";
import { defineMount, type Mount, type MountContext } from "../../mount.ts";
import { errorCode } from "./launcher.ts";
import { cgiLimits } from "./limits.ts";
import { createProgramGateway } from "./program-gateway.ts";

/** Serves the repositories below a directory. `"origin": "git:///srv/git"` */
export const git = defineMount({ scheme: "git", provision: createGitMount });

/** Where distributions keep the programs behind git's commands. */
const EXEC_PATHS = ["/usr/lib/git-core", "/usr/libexec/git-core", "/usr/local/libexec/git-core"];
/** Git says something every 5 s while it works, but only once it has begun (uploadpack.keepAlive). */
const IDLE_SECS = 60;
const PUSH_SERVICE = "git-receive-pack";

async function createGitMount(
  context: MountContext<Extract<Origin, { scheme: "git" }>>,
): Promise<Mount> {
  const { directory } = context.origin;
  await access(directory, constants.R_OK | constants.X_OK).catch((error: unknown) =>
    context.refuse("origin", `Cannot read "${directory}": ${errorCode(error)}`),
  );
  const program = await findBackend();
  if (program === undefined)
    context.refuse(
      "origin",
      `Git is not installed: no git-http-backend in ${EXEC_PATHS.join(", ")}`,
    );
  const file = program ?? "/nowhere";
  const gateway = await createProgramGateway({
    context,
    limits: cgiLimits,
    idleSecs: IDLE_SECS,
    cwd: directory,
    program: file,
    findScript: (pathInfo) => ({ program: file, args: [], file, name: "", pathInfo, isNph: false }),
    streamsBody: true,
    environment: [
      ["GIT_PROJECT_ROOT", directory],
      ["GIT_HTTP_EXPORT_ALL", "1"],
      // The repositories need not belong to the user of the workers: this file says that they are to be served.
      ["GIT_CONFIG_COUNT", "1"],
      ["GIT_CONFIG_KEY_0", "safe.directory"],
      ["GIT_CONFIG_VALUE_0", "*"],
    ],
  });
  return {
    ...gateway,
    async handle(exchange, rest) {
      if (isPush(exchange, rest)) {
        if (!context.pushGate) throw new HttpError(403, "Nobody may push here");
        const verdict = await context.pushGate(exchange);
        if (verdict instanceof HttpError) throw verdict;
        // As REMOTE_USER it is what git takes for the right to push (git-http-backend(1)).
        exchange.user = verdict.user;
      }
      await gateway.handle(exchange, rest);
    },
  };
}

async function findBackend(): Promise<string | undefined> {
  for (const directory of EXEC_PATHS) {
    const path = join(directory, "git-http-backend");
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}

/** Both steps of a push (gitprotocol-http(5)): the refs that it asks for first, and the pack that it sends. */
function isPush({ query }: Exchange, rest: string): boolean {
  if (rest.endsWith(`/${PUSH_SERVICE}`)) return true;
  return (
    rest.endsWith("/info/refs") &&
    new URLSearchParams(query).getAll("service").includes(PUSH_SERVICE)
  );
}
