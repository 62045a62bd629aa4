// Who may ask, as `portico explain` says it: nothing is asked here, because the client is not known.

import type { MountConfig } from "../config/mount.ts";
import type { VhostConfig } from "../config/vhost.ts";

type Rules = Pick<MountConfig, "allow" | "deny">;

/** What a client has to be or to know; undefined where everybody may. */
export function describeGuard(
  vhost: VhostConfig,
  mount: MountConfig | undefined,
): string | undefined {
  const own = mount ? describeRules(mount) : "";
  const file = mount?.["basic-auth"];
  const password = file === undefined ? "" : `a password of ${file}`;
  const both = [own, password].filter((part) => part !== "");
  const parts = [describeRules(vhost), both.join(mount?.satisfy === "any" ? " or " : " and ")];
  return parts.filter((part) => part !== "").join(" and ") || undefined;
}

function describeRules({ allow, deny }: Rules): string {
  const lists = [
    allow && `allow ${allow.join(", ") || "nobody"}`,
    deny && deny.length > 0 && `deny ${deny.join(", ")}`,
  ].filter((list) => typeof list === "string");
  return lists.length === 0 ? "" : `an address by ${lists.join(", ")}`;
}
