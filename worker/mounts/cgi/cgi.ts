// A mount answered by programs (RFC 3875): one program for all that is below its mountpoint, or a directory of them.
// No shell and no arguments: a request reaches a program as environment and stdin only.

import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Origin } from "../../../config/mount.ts";
import { defineMount, type Mount, type MountContext } from "../../mount.ts";
import { createProgramGateway } from "./program-gateway.ts";
import { errorCode } from "./launcher.ts";
import { cgiLimits, type CgiLimits } from "./limits.ts";
import { scriptDirectory, singleScript, type FindScript } from "./script.ts";

type CgiContext = MountContext<Extract<Origin, { scheme: "cgi" }>>;

/** Runs a program. `"origin": "cgi:///usr/lib/cgit/cgit.cgi"`, or one of a directory: `"cgi:///srv/cgi-bin/"` */
export const cgi = defineMount({
  scheme: "cgi",
  provision: (context) => createCgiMount(context, cgiLimits),
});

/** A mount within the given limits. */
export async function createCgiMount(context: CgiContext, limits: CgiLimits): Promise<Mount> {
  const { config, origin } = context;
  const isDirectory = await isDirectoryOf(context);
  const cwd = config["cgi-chdir"] ?? (isDirectory ? origin.program : dirname(origin.program));
  await checkAccess(context, isDirectory, cwd);
  const makeFinder = isDirectory ? scriptDirectory : singleScript;
  const findScript: FindScript = makeFinder(origin.program, config["cgi-interpreter"]);
  return await createProgramGateway({ context, limits, cwd, findScript, program: origin.program });
}

async function isDirectoryOf({ config, origin, refuse }: CgiContext): Promise<boolean> {
  const found = await stat(join(config["cgi-chroot"] ?? "/", origin.program)).catch(
    () => undefined,
  );
  const isDirectory = found?.isDirectory() ?? false;
  if (isDirectory && config["cgi-chroot"] !== undefined)
    refuse("cgi-chroot", "A directory of programs cannot be confined; name one program in origin");
  return isDirectory;
}

/** The user of this worker may be allowed less than the supervisor, who looked before. */
async function checkAccess(
  { config, origin, refuse }: CgiContext,
  isDirectory: boolean,
  cwd: string,
): Promise<void> {
  const root = config["cgi-chroot"] ?? "/";
  const interpreters = Object.entries(config["cgi-interpreter"]);
  const isRead = interpreters.some(([suffix]) => origin.program.endsWith(suffix));
  await access(
    join(root, origin.program),
    isRead && !isDirectory ? constants.R_OK : constants.X_OK,
  ).catch((error: unknown) =>
    refuse("origin", `Cannot run "${origin.program}": ${errorCode(error)}`),
  );
  await access(join(root, cwd), constants.X_OK).catch((error: unknown) =>
    refuse("cgi-chdir", `Cannot enter "${cwd}": ${errorCode(error)}`),
  );
  for (const [suffix, interpreter] of interpreters)
    await access(join(root, interpreter), constants.X_OK).catch((error: unknown) =>
      refuse(`cgi-interpreter.${suffix}`, `Cannot run "${interpreter}": ${errorCode(error)}`),
    );
}
