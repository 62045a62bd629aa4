// The keys that say who may ask, for every kind of object that has them.

import { headerFault, toByteString } from "./pairs.ts";
import { check, convert, path, text } from "./shape.ts";

/** Asking for a password: of mounts and of protocols. */
export const passwordKeys = {
  "basic-auth": path()
    .exactOptional()
    .meta({
      description:
        "Password file: only the users in it get in (HTTP Basic authentication). Lines as htpasswd writes them (-B, -2, -5, -m, -s), or user:password as in lwsws, with a warning. Only the supervisor reads it, at the start and at each reload, so it may be for root alone. Every method is asked for a password, OPTIONS too.",
      examples: ["/etc/portico/passwords"],
    }),
  "basic-auth-realm": convert(check(text(), headerFault), toByteString)
    .exactOptional()
    .meta({
      description:
        "What browsers show, and keep a password for; the name of the vhost by default. Places that share it should share their users.",
      examples: ["Staff"],
    }),
};

export const passwordPaths = ["basic-auth"] as const;
