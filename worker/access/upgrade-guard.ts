// Which guard stands before a WebSocket: that of the mount whose path the handshake names, with the password of the protocol
// where that has one of its own.

import type { ByteString } from "../http/exchange.ts";
import type { SiteVhost } from "../site-vhost.ts";
import type { Guard } from "./guard.ts";

/** The guard for a handshake; `protocol` is the one that would be opened. */
export function guardOfUpgrade(
  vhost: Pick<SiteVhost, "match" | "guard" | "gates">,
  path: ByteString,
  protocol: string | undefined,
): Guard | undefined {
  const match = vhost.match(path);
  const guard = match ? match.guard : vhost.guard;
  const gate = protocol === undefined ? undefined : vhost.gates?.get(protocol);
  // One handshake has room for one password, and the protocol's is the more particular one.
  return gate ? { rules: guard?.rules ?? [], password: gate } : guard;
}
