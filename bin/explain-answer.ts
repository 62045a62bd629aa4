// What a mount would answer. Files and redirects are really asked, by an exchange that only writes down what it is told;
// programs and plugins are not run.

import { realpathSync } from "node:fs";
import { Readable, Writable } from "node:stream";
import type { HeaderPair, VhostConfig } from "../config/vhost.ts";
import type { Logger } from "../log/logger.ts";
import { formatOrigin } from "../supervisor/greeting.ts";
import { createCompressor } from "../worker/compressor.ts";
import { emptyCgi } from "../worker/counters.ts";
import { createFileCache } from "../worker/file-cache.ts";
import { openStarter } from "../posix/spawn.ts";
import { createDocroots } from "../worker/docroot.ts";
import { dispatch } from "../worker/http/dispatch.ts";
import { HttpError, type ByteString, type Exchange } from "../worker/http/exchange.ts";
import type { Mount, MountContext } from "../worker/mount.ts";
import { file } from "../worker/mounts/file/file.ts";
import { redirect } from "../worker/mounts/redirect.ts";
import type { MountMatch } from "../worker/router.ts";
import { ExplainError, type Asked } from "./explain-route.ts";

export type Answer = {
  /** Undefined where a program or a plugin decides. */
  readonly status?: number;
  /** What answers, or why it cannot: one sentence. */
  readonly says: string;
  /** Headers that tell something: Location, Content-Type, Cache-Control. */
  readonly headers: readonly HeaderPair[];
};

/** Asks the mount that a request has reached. */
export async function findAnswer(
  asked: Asked,
  vhost: VhostConfig,
  match: MountMatch | undefined,
  log: Logger,
): Promise<Answer> {
  if (asked.isWebSocket) return describeProtocols(vhost);
  if (!match) return { status: 404, says: "no mount covers this path", headers: [] };
  const { origin, "cgi-timeout": timeoutSecs } = match.config;
  switch (origin.scheme) {
    case "cgi": {
      const pathInfo = match.rest === "" ? "no PATH_INFO" : `PATH_INFO ${shown(match.rest)}`;
      const says = `the program ${origin.program} runs with ${pathInfo}; 504 if it moves no byte for ${timeoutSecs} s`;
      return { says, headers: [] };
    }
    case "callback":
      return { says: `the protocol ${origin.protocol} answers`, headers: [] };
    case "file":
    case "redirect": {
      const recorded = await ask(asked, vhost, match, log);
      const says =
        origin.scheme === "file"
          ? describeFile(origin.directory, match, recorded)
          : "the client is sent elsewhere";
      const { status } = recorded;
      return { status, says, headers: recorded.headers.filter(([name]) => TELLING.has(name)) };
    }
    default:
      return { says: `${formatOrigin(origin)} answers`, headers: [] };
  }
}

const TELLING: ReadonlySet<string> = new Set([
  "Allow",
  "Cache-Control",
  "Content-Length",
  "Content-Type",
  "Location",
]);

type Recorded = {
  readonly status: number;
  readonly headers: readonly HeaderPair[];
  /** Why it was refused. */
  readonly error?: HttpError;
};

/** Provisions the mount and lets it handle the request. */
async function ask(
  asked: Asked,
  vhost: VhostConfig,
  match: MountMatch,
  log: Logger,
): Promise<Recorded> {
  const { promise, resolve } = Promise.withResolvers<Recorded>();
  const open = { ...match, mount: provision(vhost, match, log), guard: undefined };
  dispatch(recorder(asked, resolve), open, undefined);
  return promise;
}

function provision(vhost: VhostConfig, { config, mount }: MountMatch, log: Logger): Mount {
  const { origin } = config;
  const context: Omit<MountContext, "origin"> = {
    vhost,
    config,
    log,
    cgiCounters: emptyCgi(),
    redirect() {},
    starter: openStarter,
    readBoard: () => Promise.reject(new ExplainError("There is no server")),
    health: { state: "starting" },
    docroots: createDocroots(),
    compressor: createCompressor(log),
    fileCache: createFileCache(0),
    protocol: () => undefined,
    version: "",
    refuse(key, message) {
      throw new ExplainError(`The mount ${config.mountpoint} cannot be served: ${key}: ${message}`);
    },
  };
  if (origin.scheme === "file") return file.provision({ ...context, origin }) as Mount;
  if (origin.scheme === "redirect") return redirect.provision({ ...context, origin }) as Mount;
  return mount;
}

function recorder(asked: Asked, record: (recorded: Recorded) => void): Exchange {
  const { head, secure, port, host } = asked;
  return {
    // The answer to GET without its body (RFC 9110 9.3.2).
    method: "HEAD",
    target: head.target,
    path: head.path,
    query: head.query,
    version: "1.1",
    fields: [],
    authority: head.authority?.text,
    host,
    secure,
    client: undefined,
    remoteAddress: "127.0.0.1",
    remotePort: 0,
    localAddress: "127.0.0.1",
    localPort: port,
    bodyBytes: 0,
    user: undefined,
    body: Readable.from([]),
    header: () => undefined,
    send: (status, headers) => record({ status, headers }),
    stream(status, headers) {
      record({ status, headers });
      return new Writable({ write: (_chunk, _encoding, done) => done() });
    },
    fail(error) {
      const refusal = error instanceof HttpError ? error : new HttpError(500, String(error));
      record({ status: refusal.status, headers: refusal.headers, error: refusal });
    },
    abort: (reason) => record({ status: 500, headers: [], error: new HttpError(500, reason) }),
    onClientEnd() {},
    onAbort() {},
  };
}

function describeFile(directory: string, match: MountMatch, { status, error }: Recorded): string {
  const { rest, config } = match;
  const isIndex = rest === "" || rest.endsWith("/");
  const path = directory.replace(/\/+$/, "") + decoded(rest);
  if (status === 301) return `${path} is a directory, and its links need the slash`;
  const name = rest.endsWith("/") ? path + config.default : path;
  if (error) return `${isIndex ? name : path}: ${reasonOf(error)}`;
  const real = realPath(name);
  if (real === undefined) {
    if (isIndex && config.autoindex && realPath(path) !== undefined)
      return `${path} has no ${config.default}, and autoindex lists it`;
    return `there is no ${name}; the fallback ${directory.replace(/\/+$/, "")}/${config.fallback} is served`;
  }
  return real === name ? `the file ${name}` : `the file ${name}, which is ${real}`;
}

function realPath(name: string): string | undefined {
  try {
    return realpathSync(name);
  } catch {
    return undefined;
  }
}

function reasonOf(error: HttpError): string {
  const { cause, message } = error;
  if (typeof cause === "string") return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : undefined;
  if (code !== undefined) return REASONS[code] ?? code;
  return message === "" ? "refused" : message;
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "a part of the path is a file, not a directory",
  ENAMETOOLONG: "the name is too long",
  ELOOP: "symlinks go round in a circle",
  EACCES: "the user that workers run as may not read it",
  EPERM: "the user that workers run as may not read it",
};

function describeProtocols({ "ws-protocols": protocols }: VhostConfig): Answer {
  const names = protocols.map(({ name }) => name).join(", ");
  if (names === "") return { says: "no WebSocket protocol is enabled here", headers: [] };
  const fallback = protocols.find(({ isDefault }) => isDefault);
  const rest = fallback ? `gets ${fallback.name}` : "is refused";
  return {
    says: `the protocol that the client names, one of ${names}; a client that names none ${rest}`,
    headers: [],
  };
}

function decoded(bytes: ByteString): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}

function shown(bytes: ByteString): string {
  return JSON.stringify(decoded(bytes));
}
