// The keys of one mount: a part of the URL space and what answers there.

import { addressKeys, passwordKeys, passwordPaths, satisfyKeys } from "./access.ts";
import { cgiKeys, cgiPaths } from "./cgi.ts";
import { mountLimits } from "./limits.ts";
import { origin, type Origin } from "./origin.ts";
import { errorPages } from "./error-pages.ts";
import { fileFault, fileKeyNames, fileKeys } from "./file-keys.ts";
import { headerFault, headerPairs, optionPairs } from "./pairs.ts";
import {
  check,
  convert,
  flag,
  integer,
  noItems,
  noMembers,
  object,
  record,
  shown,
  text,
  type Infer,
} from "./shape.ts";

export type { Origin };

/** Every key of a mount that works; the description is its manual entry. */
export const mountShape = object({
  /** Starts with "/", no slash at the end unless it is "/". */
  mountpoint: convert(check(text(), mountpointFault), withoutSlash).meta({
    description: "Path in the URL space, decoded; matches whole segments, the longest one wins.",
    examples: ["/git"],
  }),
  origin: origin().meta({
    description:
      "What answers: file://DIRECTORY, cgi://PROGRAM or cgi://DIRECTORY/ (of programs), git://DIRECTORY (of repositories), fcgi://unix:PATH or fcgi://HOST:PORT (a FastCGI server), >http://… or >https://… (redirect), callback://PROTOCOL, metrics:// (numbers of the whole server for Prometheus) and health:// (200 while every worker serves, for load balancers), both better guarded by allow or basic-auth. A path not starting with / is relative to this file. May be given twice: the first one serves, the second one, callback://PROTOCOL, sees each request before it.",
    examples: [
      "file:///srv/www",
      "cgi:///usr/lib/cgit/cgit.cgi",
      "git:///srv/git",
      "fcgi://unix:/run/php/php-fpm.sock",
      ">https://example.com",
      "callback://protocol-post-demo",
      "metrics://",
    ],
  }),
  default: convert(check(text(), fileFault), (value) => value.replace(/^\/+/, ""))
    .default("index.html")
    .meta({
      description: "File served for a directory.",
    }),
  headers: headerPairs().default(noItems).meta({
    description:
      "Headers for every answer of this mount; they replace those of the vhost with the same name.",
  }),
  "extra-mimetypes": check(record(check(text(), headerFault)), mimetypesFault)
    .default(noMembers)
    .meta({
      description:
        'Media types by suffix, such as ".zip": "application/zip"; "*" stands for every other suffix, "" for no type.',
      examples: [{ ".zip": "application/zip", "*": "" }],
    }),
  ...passwordKeys,
  ...addressKeys,
  ...satisfyKeys,
  "interceptor-path": convert(check(text(), mountpointFault), withoutSlash)
    .exactOptional()
    .meta({
      description:
        "Mountpoint of a callback:// mount of this vhost whose protocol sees each request first, with the pmo of that mount: it lets it through or answers in place of this mount (a login page, say). That mount may have an interceptor of its own, which is asked before it. WebSockets are not opened at such paths, 403.",
      examples: ["/login"],
    }),
  "cache-max-age": integer({ min: 0, max: 2_147_483_647 }).default(0).meta({
    description: "Seconds a client may keep an answer; needs cache-reuse.",
  }),
  "cache-reuse": flag().meta({
    description: "Let clients use what they kept; without it no-store is sent.",
  }),
  "cache-revalidate": flag().meta({
    description: "Make clients ask before they use an answer that is too old.",
  }),
  "cache-intermediaries": flag().meta({
    description: "Let caches between here and the client keep answers too.",
  }),
  "cache-no": flag().meta({ description: "Send no-cache, whatever the other cache keys say." }),
  "error-pages": errorPages().meta({
    description:
      "As error-pages of the vhost, for this mount; a status that is not here has the vhost's page.",
    examples: [{ "404": "/shop/404.html" }],
  }),
  ...mountLimits,
  ...fileKeys,
  ...cgiKeys,
  "append-path": flag().meta({
    description: "Redirects keep what follows the mountpoint.",
  }),
  "exact-match": flag().meta({
    description: "Match the mountpoint itself and nothing below it.",
  }),
  pmo: optionPairs().default(noMembers).meta({
    description:
      "Options for the protocol behind a callback mount: an array of objects, or one object.",
  }),
});

export const mountPaths = [...cgiPaths, ...passwordPaths] as const;

export type MountConfig = Readonly<Infer<typeof mountShape>> & {
  /** Where it stands, for messages: "mounts[1]". */
  readonly path: string;
  /** The protocol that sees each request first: a second "origin", `callback://NAME`. */
  readonly before?: string;
};

/** Keys that mean something for some origins only. */
export const keysOfSchemes: Readonly<Record<string, readonly Origin["scheme"][]>> = {
  default: ["file"],
  "extra-mimetypes": ["file"],
  "cache-max-age": ["file"],
  "cache-reuse": ["file"],
  "cache-revalidate": ["file"],
  "cache-intermediaries": ["file"],
  "cache-no": ["file"],
  ...Object.fromEntries(fileKeyNames.map((key) => [key, ["file"] as const])),
  "cgi-timeout": ["cgi", "git", "fcgi"],
  "cgi-max-secs": ["cgi", "git", "fcgi"],
  "cgi-max": ["cgi", "git", "fcgi"],
  "cgi-keep": ["cgi"],
  "cgi-body": ["cgi", "fcgi"],
  "cgi-pass-auth": ["cgi", "fcgi"],
  "cgi-env": ["cgi", "git", "fcgi"],
  "cgi-chdir": ["cgi"],
  "cgi-chroot": ["cgi"],
  "cgi-interpreter": ["cgi"],
  "fcgi-root": ["fcgi"],
  "git-push": ["git"],
  "cgi-rlimit-cpu": ["cgi", "git"],
  "cgi-rlimit-memory": ["cgi", "git"],
  "cgi-rlimit-nofile": ["cgi", "git"],
  "cgi-rlimit-fsize": ["cgi", "git"],
  "append-path": ["redirect"],
  pmo: ["callback"],
};

function withoutSlash(mountpoint: string): string {
  return mountpoint.replace(/(?<=.)\/+$/, "");
}

function mountpointFault(value: string): string | undefined {
  if (!value.startsWith("/")) return `Expected a path that starts with "/", got ${shown(value)}`;
  // oxlint-disable-next-line no-control-regex -- control characters never reach a path (they are refused with 400)
  return /[\u0000-\u001f\u007f]/.test(value)
    ? "A mountpoint cannot hold control characters"
    : undefined;
}

function mimetypesFault(types: Record<string, string>): string | undefined {
  const odd = Object.keys(types).find((suffix) => suffix !== "*" && !/^\.[^/\0]+$/.test(suffix));
  return odd === undefined
    ? undefined
    : `Expected suffixes such as ".zip", or "*", got ${shown(odd)}`;
}
