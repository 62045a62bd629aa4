// The keys that say who may ask, for every kind of object that has them.

import { networks } from "./networks.ts";
import { headerFault, pairs, toByteString } from "./pairs.ts";
import { check, choice, convert, path, shown, text } from "./shape.ts";

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

/** By address: of vhosts and of mounts. */
export const addressKeys = {
  allow: networks({ takesAll: true })
    .exactOptional()
    .meta({
      description:
        'Clients that may come: addresses, networks, "unix:" for whoever comes over a Unix socket, or "all". Once it is given all others get 403. Of allow and deny the most specific network that holds the client decides; where the same one stands in both, deny. The client is the one that trusted proxies name. Rules of a vhost hold for everything in it, WebSockets too; those of a mount come on top of them.',
      examples: [["192.0.2.0/24", "2001:db8::/32"], "10.0.0.0/8, unix:"],
    }),
  deny: networks({ takesAll: true })
    .exactOptional()
    .meta({
      description:
        'Clients that get 403, written as in allow. Without allow all others may come; with "all" in it, only whom allow names.',
      examples: ["198.51.100.7", "all"],
    }),
};

/** How both go together: of mounts. */
export const satisfyKeys = {
  satisfy: choice("all", "any").default("all").meta({
    description:
      "Where a mount has rules by address and basic-auth: all asks both of a client, any lets in without a password whom the addresses admit, and everybody else with one.",
  }),
};

/** What a client with a word in its User-Agent is answered. */
export type KeywordRefusal = { readonly status: number; readonly message: string };

/** "reject-service-keywords": words and answers. */
export function keywordRefusals() {
  return pairs<KeywordRefusal>((keyword, value, refuse) => {
    if (keyword === "") return refuse("An empty word would refuse every client");
    const [, status, message = ""] =
      typeof value === "string" ? (/^([45]\d\d)(?:\s+(.*))?$/.exec(value) ?? []) : [];
    if (status === undefined)
      return refuse(
        `Expected a status from 400 to 599 and a text, such as "403 Go away", got ${shown(value)}`,
      );
    return { status: Number(status), message };
  });
}
