// The meta-variables of RFC 3875 4.1, built from scratch: nothing of the server's own environment gets in.
// What a client sends stays data: it can name HTTP_* variables only, and none that a program would trust.

import { dirname } from "node:path";
import type { Script } from "./script.ts";
import type { MountConfig } from "../../../config/mount.ts";
import type { VhostConfig } from "../../../config/vhost.ts";
import type { Environment } from "../../../posix/child.ts";
import { HttpError, type ByteString, type Exchange } from "../../http/exchange.ts";
import { clientVariables } from "./client-variables.ts";

/** PATH of every program, unless "cgi-env" sets another. */
const PATH = "/usr/local/bin:/usr/bin:/bin";

export type EnvironmentSettings = {
  /** Of this server, for SERVER_SOFTWARE. */
  readonly version: string;
  /** What is run, or the directory of what is run: the document root of a site that has no files. */
  readonly program: string;
  readonly config: Pick<MountConfig, "mountpoint" | "cgi-env" | "cgi-pass-auth">;
  readonly mounts: VhostConfig["mounts"];
};

/** Prepares all that is the same for every request; the result makes one request's environment. */
export function createEnvironment(
  settings: EnvironmentSettings,
): (exchange: Exchange, script: Script, bodyBytes: number | undefined) => Environment {
  const { program, config } = settings;
  const mountpoint = config.mountpoint === "/" ? "" : encode(config.mountpoint);
  const siteRoot = findSiteRoot(settings.mounts);
  const constant: readonly [string, ByteString][] = [
    ["GATEWAY_INTERFACE", "CGI/1.1"],
    ["SERVER_SOFTWARE", `portico/${settings.version}`],
    ["DOCUMENT_ROOT", encode(siteRoot === undefined ? dirname(program) : siteRoot || "/")],
    // php-cgi refuses to run without it: a sign that a server, not a client, chose the script.
    ["REDIRECT_STATUS", "200"],
    ["PATH", PATH],
  ];
  const chosen = config["cgi-env"].map(([name, value]) => [name, encode(value)] as const);

  return (exchange, script, bodyBytes) => {
    const { pathInfo } = script;
    const variables = new Map(constant);
    variables.set("SCRIPT_NAME", mountpoint + script.name);
    if (script.file !== undefined) variables.set("SCRIPT_FILENAME", encode(script.file));
    variables.set("REQUEST_METHOD", exchange.method);
    variables.set("REQUEST_URI", exchange.target);
    variables.set("QUERY_STRING", exchange.query ?? "");
    variables.set("SERVER_PROTOCOL", `HTTP/${exchange.version}`);
    variables.set("SERVER_NAME", exchange.host);
    // A Unix socket has no port: then it is what the scheme implies, as for clients of a proxy in front.
    variables.set("SERVER_PORT", String(exchange.localPort || (exchange.secure ? 443 : 80)));
    variables.set("REMOTE_ADDR", exchange.remoteAddress);
    // Nobody knows it of a client behind a proxy, and a Unix socket has none.
    if (exchange.remotePort > 0) variables.set("REMOTE_PORT", String(exchange.remotePort));
    if (exchange.secure) {
      variables.set("HTTPS", "on");
      for (const [name, value] of clientVariables(exchange.client)) variables.set(name, value);
    }
    // Only where this server has checked it (RFC 3875 4.1.1, 4.1.11).
    if (exchange.user !== undefined) {
      variables.set("AUTH_TYPE", "Basic");
      variables.set("REMOTE_USER", exchange.user);
    }
    if (pathInfo !== "") {
      variables.set("PATH_INFO", pathInfo);
      if (siteRoot !== undefined) variables.set("PATH_TRANSLATED", encode(siteRoot) + pathInfo);
    }
    const contentType = exchange.header("content-type");
    if (contentType !== undefined) variables.set("CONTENT_TYPE", contentType);
    if (bodyBytes !== undefined && bodyBytes > 0)
      variables.set("CONTENT_LENGTH", String(bodyBytes));
    addHeaders(variables, exchange);
    const credentials = config["cgi-pass-auth"] ? exchange.header("authorization") : undefined;
    if (credentials !== undefined) variables.set("HTTP_AUTHORIZATION", credentials);
    for (const [name, value] of chosen) variables.set(name, value);
    refuseNul(variables);
    return variables;
  };
}

/**
 * Request headers that no program sees: "Proxy" would become HTTP_PROXY, which HTTP clients obey (CVE-2016-5385);
 * credentials meant for us (RFC 3875 4.1.18); fields of the connection; and those that have a variable of their own.
 */
const HIDDEN: ReadonlySet<string> = new Set([
  "authorization",
  "connection",
  "content-length",
  "content-type",
  "http2-settings",
  "keep-alive",
  "proxy",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** "X_User" and "X-User" would be one variable, so a client could forge what a proxy in front vouches for. */
const UNAMBIGUOUS = /^[0-9a-z-]+$/;

function addHeaders(variables: Map<string, ByteString>, exchange: Exchange): void {
  if (exchange.authority !== undefined) variables.set("HTTP_HOST", exchange.authority);
  for (const name of new Set(exchange.fields.map(([sent]) => sent.toLowerCase()))) {
    if (!UNAMBIGUOUS.test(name) || HIDDEN.has(name) || name.startsWith("proxy-")) continue;
    variables.set(`HTTP_${name.toUpperCase().replaceAll("-", "_")}`, exchange.header(name) ?? "");
  }
}

/** A NUL would end a variable early, and starting a program with one throws. */
function refuseNul(variables: Environment): void {
  for (const [name, value] of variables)
    if (value.includes("\0")) throw new HttpError(400, `NUL in ${name}`);
}

/** The directory of the file mount that serves "/", if the vhost has one; no slash at its end. */
function findSiteRoot(mounts: VhostConfig["mounts"]): string | undefined {
  const root = mounts.find((mount) => mount.mountpoint === "/" && mount.origin.scheme === "file");
  if (root?.origin.scheme !== "file") return undefined;
  return root.origin.directory.replace(/\/+$/, "");
}

/** Text of the configuration as its UTF-8 bytes. */
function encode(text: string): ByteString {
  return Buffer.from(text, "utf8").toString("latin1");
}
