// Keys of mounts that are answered by programs: CGI, git over HTTP, FastCGI.

import { environmentPairs } from "./pairs.ts";
import {
  check,
  choice,
  flag,
  integer,
  noItems,
  noMembers,
  path,
  record,
  seconds,
  secondsOr,
  shown,
  text,
} from "./shape.ts";

const DEFAULT_TOTAL_SECS = 3_600;

/** The keys, each with its manual entry. */
export const cgiKeys = {
  "cgi-timeout": seconds(0).exactOptional().meta({
    description:
      "Seconds in which a program neither reads nor writes a byte before it is ended: 504, or a cut answer when it had begun. 5 by default, 60 for git:// and fcgi://; 0 means the default.",
  }),
  "cgi-max-secs": secondsOr(DEFAULT_TOTAL_SECS).meta({
    description: "Seconds a program may take in all. 0 means the default.",
  }),
  "cgi-max": integer({ min: 1, max: 10_000 }).exactOptional().meta({
    description:
      "Programs that run at once, per mount and worker: 128 by default. As many requests as the default wait up to 10 s for a place; the others get 503 with Retry-After.",
  }),
  "cgi-keep": flag().meta({
    description: "Let a program finish whose client has left; else it is ended with its client.",
  }),
  "cgi-body": choice("spool", "stream").default("spool").meta({
    description:
      "A request body of unknown length is taken whole before the program starts, so that CONTENT_LENGTH is right (spool), or passed on as it comes, without CONTENT_LENGTH (stream).",
  }),
  "cgi-pass-auth": flag().meta({
    description:
      "Hand the Authorization header to the program, as HTTP_AUTHORIZATION: for programs that check passwords themselves. Without it they see the name of the user only, as REMOTE_USER, and only where basic-auth has checked it.",
  }),
  "cgi-env": environmentPairs()
    .default(noItems)
    .meta({
      description: "More environment for CGI programs: an array of objects, or one object.",
      examples: [{ CGIT_CONFIG: "/etc/cgitrc" }],
    }),
  "cgi-chdir": path().exactOptional().meta({
    description: "Directory CGI programs run in: that of the program by default.",
  }),
  "cgi-chroot": path().exactOptional().meta({
    description:
      "Directory that a program sees as its root; the path in origin then begins there. Done in a user namespace by unshare(1), so that it needs no root; refused where the system does not allow that.",
  }),
  "cgi-interpreter": check(record(text()), interpreterFault)
    .default(noMembers)
    .meta({
      description:
        "Programs that run files by their suffix; such files need no execute permission. The file is their only argument and SCRIPT_FILENAME.",
      examples: [{ ".php": "/usr/bin/php-cgi" }],
    }),
  "cgi-rlimit-cpu": integer({ min: 1, max: 86_400 }).exactOptional().meta({
    description: "Seconds of processor time a program may use, as RLIMIT_CPU.",
  }),
  "cgi-rlimit-memory": integer({ min: 1, max: 1_048_576 }).exactOptional().meta({
    description: "MiB of address space a program may have, as RLIMIT_AS.",
  }),
  "cgi-rlimit-nofile": integer({ min: 3, max: 1_048_576 }).exactOptional().meta({
    description: "Descriptors a program may have open, as RLIMIT_NOFILE.",
  }),
  "cgi-rlimit-fsize": integer({ min: 0, max: 1_048_576 }).exactOptional().meta({
    description: "MiB a file may have that a program writes, as RLIMIT_FSIZE.",
  }),
  "fcgi-root": path()
    .exactOptional()
    .meta({
      description:
        "Directory of PHP scripts: the path of a request names a .php file in it, which is SCRIPT_FILENAME, or a directory with an index.php; anything else is 404. Without it the whole mount is one application, and every path reaches it as PATH_INFO.",
      examples: ["/srv/app/public"],
    }),
  "git-push": path()
    .exactOptional()
    .meta({
      description:
        "Password file, as for basic-auth: the users in it may push to the repositories of this mount. Without it nobody may, whatever a repository says. A push may be as long as max-body-bytes says.",
      examples: ["/etc/portico/committers"],
    }),
};

export const cgiPaths = ["cgi-chdir", "cgi-chroot", "fcgi-root", "git-push"] as const;

function interpreterFault(interpreters: Record<string, string>): string | undefined {
  for (const [suffix, program] of Object.entries(interpreters)) {
    if (!/^\.[^/\0]+$/.test(suffix))
      return `Expected suffixes such as ".php", got ${shown(suffix)}`;
    if (!program.startsWith("/") || program.includes("\0"))
      return `Expected the absolute path of a program for ${shown(suffix)}, got ${shown(program)}`;
  }
  return undefined;
}
