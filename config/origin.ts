// What backs a mount: "file:///srv/www", "cgi:///usr/lib/x.cgi", "git:///srv/git", ">https://example.com", "callback://plugin".
// What follows "://" is a path from the root when it starts with "/", else one relative to the configuration file.

import { isAbsolute, resolve } from "node:path";
import { convert, shown, text } from "./shape.ts";
import { suggest } from "./suggest.ts";

type FcgiAddress = { readonly path: string } | { readonly host: string; readonly port: number };

export type Origin =
  | { readonly scheme: "file"; readonly directory: string }
  | { readonly scheme: "cgi"; readonly program: string }
  | { readonly scheme: "git"; readonly directory: string }
  | { readonly scheme: "fcgi"; readonly address: FcgiAddress; readonly text: string }
  | { readonly scheme: "redirect"; readonly location: string }
  | { readonly scheme: "callback"; readonly protocol: string }
  | { readonly scheme: "metrics" }
  | { readonly scheme: "health" };

const SCHEMES = [
  "file://",
  "cgi://",
  "git://",
  "fcgi://",
  ">http://",
  ">https://",
  "callback://",
  "metrics://",
  "health://",
];

/** The shape of "origin"; its paths may still be relative. */
export function origin() {
  return convert(text().meta({ title: "origin" }), (value, refuse): Origin | undefined => {
    const parsed = parseOrigin(value);
    return typeof parsed === "string" ? refuse(parsed) : parsed;
  });
}

/** The origin, or the reason why it is none. */
export function parseOrigin(value: string): Origin | string {
  const match = /^(>?[A-Za-z][A-Za-z0-9+.-]*:\/\/)([^]*)$/.exec(value);
  const near = /^(>?[A-Za-z]+):/.exec(value)?.[1];
  if (!match && near !== undefined && SCHEMES.includes(`${near}://`))
    return `Expected "${near}://" at the start, got ${shown(value)}`;
  if (!match && value.startsWith(">"))
    return `A redirect goes to a whole URL, ">https://example.com/page"; got ${shown(value)}`;
  if (!match)
    return `${shown(value)} has no scheme; expected ${list(SCHEMES)}, such as "file://${value.startsWith("/") ? "" : "./"}${value}"`;
  const [, scheme = "", target = ""] = match;
  if (scheme === "metrics://" || scheme === "health://")
    return target === ""
      ? { scheme: scheme === "metrics://" ? "metrics" : "health" }
      : `Nothing may follow "${scheme}", got ${shown(value)}`;
  if (target === "") return `Nothing follows "${scheme}"`;
  if (target.includes("\0")) return "An origin cannot hold a NUL character";
  switch (scheme) {
    case "file://":
      return { scheme: "file", directory: target };
    case "cgi://":
      return { scheme: "cgi", program: target };
    case "git://":
      return { scheme: "git", directory: target };
    case "fcgi://":
      return parseFcgi(value, target);
    case "callback://":
      return { scheme: "callback", protocol: target };
    case ">http://":
    case ">https://":
      return parseRedirect(value.slice(1));
    case "http://":
    case "https://":
      return `Reverse proxy mounts are not available yet; to send the client to another address write ${shown(`>${value}`)}`;
    default:
      return `Unknown scheme "${scheme}"; expected ${list(SCHEMES)}${suggest(scheme, SCHEMES)}`;
  }
}

/** The origin with its paths absolute. lwsws files write "cgi://usr/lib/x" and mean /usr/lib/x: that reading is taken when only it exists. */
export function locateOrigin(
  found: Origin,
  directory: string,
  exists: (path: string) => boolean,
): Origin {
  if (found.scheme === "file" || found.scheme === "git")
    return { ...found, directory: locate(found.directory, directory, exists) };
  if (found.scheme === "cgi")
    return { ...found, program: locate(found.program, directory, exists) };
  return found;
}

function locate(path: string, directory: string, exists: (path: string) => boolean): string {
  const relative = resolve(directory, path);
  if (isAbsolute(path) || /^\.\.?(?:\/|$)/.test(path) || exists(relative)) return relative;
  const fromRoot = resolve("/", path);
  return exists(fromRoot) ? fromRoot : relative;
}

function parseFcgi(value: string, target: string): Origin | string {
  if (target.startsWith("unix:/"))
    return { scheme: "fcgi", address: { path: target.slice("unix:".length) }, text: value };
  const [, host, digits] = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})\/?$/.exec(target) ?? [];
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535)
    return `Expected "fcgi://unix:/PATH" or "fcgi://HOST:PORT", got ${shown(value)}`;
  return { scheme: "fcgi", address: { host: host.replace(/^\[|\]$/g, ""), port }, text: value };
}

function parseRedirect(location: string): Origin | string {
  if (!/^[!-~]+$/.test(location))
    return "A redirect goes into a header: write spaces and other characters percent-encoded";
  if (!URL.canParse(location)) return `${shown(location)} is not a URL`;
  return { scheme: "redirect", location };
}

function list(words: readonly string[]): string {
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
