// What the configuration names must be on the disk: looked up in one pass before anything is started.

import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import type { Draft } from "./decode.ts";
import { problemAt } from "./document.ts";
import { errorCode } from "./files.ts";
import type { Report } from "./problems.ts";
import type { PlaceOf } from "./rules.ts";
import { childPath } from "./tree.ts";

type Expectation =
  | "directory"
  | "program"
  | "program or directory"
  | "readable file"
  | "file in a directory";
type Lookup = {
  readonly what: string;
  readonly path: string;
  readonly expected: Expectation;
  readonly refuse: (message: string) => void;
};

/** A thousand vhosts must not queue ten thousand calls on the thread pool at once. */
const MAX_LOOKUPS_AT_ONCE = 16;

/** Reports docroots, programs, plugin directories, certificates and the like that are not there. */
export async function checkExistence(
  draft: Draft,
  placeOf: PlaceOf,
  report: Report,
): Promise<void> {
  // Thousands of mounts may name one directory: it is looked up once.
  const same = Map.groupBy(
    lookups(draft, placeOf, report),
    ({ expected, path }) => `${expected} ${path}`,
  );
  const waiting = same.values();
  const work = async () => {
    for (const group of waiting) {
      const [{ path, expected }] = group as [Lookup];
      const fault = await lookUp(path, expected);
      if (fault === undefined) continue;
      for (const { what, refuse } of group) refuse(`${what} ${JSON.stringify(path)} ${fault}`);
    }
  };
  // All workers draw from one iterator, so each lookup is done by exactly one of them.
  await Promise.all(Array.from({ length: MAX_LOOKUPS_AT_ONCE }, work));
}

function lookups(draft: Draft, placeOf: PlaceOf, report: Report): Lookup[] {
  const all: Lookup[] = [];
  const want = (
    where: { file: string; path: string },
    key: string,
    expected: Expectation,
    what: string,
    path: string | undefined,
  ) => {
    if (path === undefined) return;
    all.push({
      what,
      path,
      expected,
      refuse: (message) => report(placeOf(where, key, "error", message)),
    });
  };
  const { global, pluginDirs } = draft;
  for (const [index, path] of (global?.["plugin-dir"] ?? []).entries()) {
    const place = pluginDirs[index];
    if (!place) continue;
    const refuse = (message: string) =>
      report(problemAt(place.document, "error", place.node.offset, place.path, message));
    all.push({ what: "The plugin directory", path, expected: "directory", refuse });
  }
  const inGlobal = { file: "", path: "global" };
  want(
    inGlobal,
    "control-socket",
    "file in a directory",
    "The control socket",
    global?.["control-socket"],
  );
  const nats = "The file of NATS authorities";
  want(inGlobal, "nats-ca", "readable file", nats, global?.["nats-ca"]);
  const creds = "The file of a NATS user";
  want(inGlobal, "nats-credentials", "readable file", creds, global?.["nats-credentials"]);
  for (const { where, keys, mounts, protocols } of draft.vhosts) {
    want(where, "host-ssl-cert", "readable file", "The certificate", keys?.["host-ssl-cert"]);
    want(where, "host-ssl-key", "readable file", "The private key", keys?.["host-ssl-key"]);
    want(where, "host-ssl-ca", "readable file", "The file of authorities", keys?.["host-ssl-ca"]);
    want(where, "access-log", "file in a directory", "The access log", keys?.["access-log"]);
    if (keys?.["unix-socket"] && keys.interface?.startsWith("/"))
      want(where, "interface", "file in a directory", "The Unix socket", keys.interface);
    const guarded = [...mounts, ...protocols.map(({ path, keys: own }) => ({ path, ...own }))];
    for (const { path, "basic-auth": passwords } of guarded)
      want(where, `${path}.basic-auth`, "readable file", "The password file", passwords);
    for (const mount of mounts) {
      const { path, origin } = mount;
      const root = mount["cgi-chroot"] ?? "/";
      const inRoot = (inside: string | undefined) => inside && join(root, inside);
      if (origin.scheme === "file")
        want(where, `${path}.origin`, "directory", "The directory", origin.directory);
      if (origin.scheme === "git")
        want(where, `${path}.origin`, "directory", "The directory", origin.directory);
      want(where, `${path}.git-push`, "readable file", "The password file", mount["git-push"]);
      want(where, `${path}.fcgi-root`, "directory", "The directory", mount["fcgi-root"]);
      if (origin.scheme === "cgi") {
        const isRead = Object.hasOwn(mount["cgi-interpreter"], extname(origin.program));
        const expected = isRead ? "readable file" : "program or directory";
        want(where, `${path}.origin`, expected, "The CGI program", inRoot(origin.program));
      }
      for (const [suffix, program] of Object.entries(mount["cgi-interpreter"]))
        want(
          where,
          childPath(`${path}.cgi-interpreter`, suffix),
          "program",
          "The interpreter",
          inRoot(program),
        );
      want(where, `${path}.cgi-chroot`, "directory", "The directory", mount["cgi-chroot"]);
      want(where, `${path}.cgi-chdir`, "directory", "The directory", inRoot(mount["cgi-chdir"]));
    }
  }
  return all;
}

async function lookUp(path: string, expected: Expectation): Promise<string | undefined> {
  try {
    if (expected === "file in a directory") {
      const parent = await stat(dirname(path));
      return parent.isDirectory() ? undefined : "cannot be made: its directory is none";
    }
    const found = await stat(path);
    if (expected === "directory") return found.isDirectory() ? undefined : "is not a directory";
    if (expected === "program or directory" && found.isDirectory()) return undefined;
    if (!found.isFile()) return "is not a file";
    await access(path, expected === "readable file" ? constants.R_OK : constants.X_OK);
    return undefined;
  } catch (error) {
    const code = errorCode(error);
    if (expected === "file in a directory")
      return `cannot be made: its directory ${sentence(code, "directory")}`;
    return sentence(code, expected);
  }
}

function sentence(code: string, expected: Expectation): string {
  if (code === "ENOENT" || code === "ENOTDIR") return "does not exist";
  if (code === "EACCES")
    return expected.startsWith("program") ? "is not executable" : "cannot be read: EACCES";
  return `cannot be used: ${code}`;
}
