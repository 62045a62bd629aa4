// The keys of one mount: a part of the URL space and what answers there.

import { addressKeys, passwordKeys, passwordPaths, satisfyKeys } from "./access.ts";
import { mountLimits } from "./limits.ts";
import { origin, type Origin } from "./origin.ts";
import { fileFault, fileKeyNames, fileKeys } from "./file-keys.ts";
import { environmentPairs, headerFault, headerPairs, optionPairs } from "./pairs.ts";
import {
  check,
  convert,
  flag,
  integer,
  noItems,
  noMembers,
  object,
  path,
  record,
  secondsOr,
  shown,
  text,
  type Infer,
} from "./shape.ts";

export type { Origin };

/** Every key of a mount that works; the description is its manual entry. */
export const mountShape = object({
  /** Starts with "/", no slash at the end unless it is "/". */
  mountpoint: convert(check(text(), mountpointFault), (value) =>
    value.replace(/(?<=.)\/+$/, ""),
  ).meta({
    description: "Path in the URL space, decoded; matches whole segments, the longest one wins.",
    examples: ["/git"],
  }),
  origin: origin().meta({
    description:
      "What answers: file://DIRECTORY, cgi://PROGRAM, >http://… or >https://… (redirect), callback://PROTOCOL. A path not starting with / is relative to this file. May be given twice: the first one serves, the second one, callback://PROTOCOL, sees each request before it.",
    examples: [
      "file:///srv/www",
      "cgi:///usr/lib/cgit/cgit.cgi",
      ">https://example.com",
      "callback://protocol-post-demo",
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
  ...mountLimits,
  ...fileKeys,
  "cgi-timeout": secondsOr(5).meta({
    description: "Seconds a CGI program may take; 0 means the default.",
  }),
  "cgi-env": environmentPairs()
    .default(noItems)
    .meta({
      description: "More environment for CGI programs: an array of objects, or one object.",
      examples: [{ CGIT_CONFIG: "/etc/cgitrc" }],
    }),
  "cgi-chdir": path().exactOptional().meta({
    description: "Directory CGI programs run in.",
  }),
  "cgi-pass-auth": flag().meta({
    description:
      "Hand the Authorization header to the program, as HTTP_AUTHORIZATION: for programs that check passwords themselves. Without it they see the name of the user only, as REMOTE_USER, and only where basic-auth has checked it.",
  }),
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

export const mountPaths = ["cgi-chdir", ...passwordPaths] as const;

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
  "cgi-timeout": ["cgi"],
  "cgi-env": ["cgi"],
  "cgi-chdir": ["cgi"],
  "cgi-pass-auth": ["cgi"],
  "append-path": ["redirect"],
  pmo: ["callback"],
};

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
