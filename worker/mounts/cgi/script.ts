// Which program answers a request, and what of the path is its name. Nothing outside the configured place is ever run.

import { constants } from "node:fs";
import { access, realpath, stat } from "node:fs/promises";
import { basename, extname, join, sep } from "node:path";
import { HttpError, type ByteString } from "../../http/exchange.ts";

/** A program and its place in the path of a request. */
export type Script = {
  /** What is run, and the words behind it; nothing of a request is ever among them (RFC 3875 4.4 lets us). */
  readonly program: string;
  readonly args: readonly string[];
  /** SCRIPT_FILENAME: the text that an interpreter runs, or the program itself; undefined where nobody knows it. */
  readonly file: string | undefined;
  /** What the script adds to the mountpoint in SCRIPT_NAME: "" or "/name". */
  readonly name: ByteString;
  /** PATH_INFO: "" or "/…". */
  readonly pathInfo: ByteString;
  /** Its output is a whole response, from the status line on. */
  readonly isNph: boolean;
};

/** Suffixes and the programs that run such files. */
export type Interpreters = Readonly<Record<string, string>>;

/** Decides by the path behind the mountpoint. Throws HttpError. */
export type FindScript = (rest: ByteString) => Script | Promise<Script>;

/** One program for everything below its mountpoint. */
export function singleScript(file: string, interpreters: Interpreters): FindScript {
  const script = describe(file, "", interpreters);
  return (pathInfo) => ({ ...script, pathInfo });
}

/** A directory of programs: the next segment of the path names one of them. */
export function scriptDirectory(directory: string, interpreters: Interpreters): FindScript {
  return async (rest) => {
    const end = rest.indexOf("/", 1);
    const name = end === -1 ? rest : rest.slice(0, end);
    const pathInfo = rest.slice(name.length);
    const fileName = Buffer.from(name.slice(1), "latin1").toString("utf8");
    // A dot would show what is hidden; a name that is no UTF-8 cannot be asked for as it is.
    if (fileName === "" || fileName.startsWith(".") || fileName.includes("\ufffd"))
      throw new HttpError(404, "There is no such program");
    const file = join(directory, fileName);
    await checkFile(directory, file, hasInterpreter(file, interpreters));
    return { ...describe(file, name, interpreters), pathInfo };
  };
}

function describe(file: string, name: ByteString, interpreters: Interpreters): Script {
  const interpreter = interpreters[extname(file)];
  return {
    program: interpreter ?? file,
    args: interpreter === undefined ? [] : [file],
    file,
    name,
    pathInfo: "",
    isNph: basename(file).startsWith("nph-"),
  };
}

function hasInterpreter(file: string, interpreters: Interpreters): boolean {
  return Object.hasOwn(interpreters, extname(file));
}

/** A link must not lead out of the directory, and what is no program is not shown either. */
async function checkFile(directory: string, file: string, isRead: boolean): Promise<void> {
  try {
    const [place, real, found] = await Promise.all([
      realpath(directory),
      realpath(file),
      stat(file),
    ]);
    if (!real.startsWith(place === sep ? sep : place + sep) || !found.isFile())
      throw new HttpError(404, "There is no such program");
  } catch (cause) {
    throw cause instanceof HttpError
      ? cause
      : new HttpError(404, "There is no such program", { cause });
  }
  await access(file, isRead ? constants.R_OK : constants.X_OK).catch((cause: unknown) => {
    throw new HttpError(403, "This is not a program", { cause });
  });
}

/** Where programs of the system are looked for; not the PATH of whoever started the server. */
const SYSTEM_PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** The path of a program of the system. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const directory of SYSTEM_PATH) {
    const path = join(directory, name);
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
