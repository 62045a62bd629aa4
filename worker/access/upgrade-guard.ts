// Which guard stands before a WebSocket: that of the mount whose path the handshake names, with the password of the protocol
// where that has one of its own.

import { HttpError, type ByteString } from "../http/exchange.ts";
import type { SiteVhost } from "../site-vhost.ts";
import type { Guard } from "./guard.ts";

const CLOSED: Guard = {
  rules: [() => new HttpError(403, "No WebSockets behind an interceptor")],
  password: undefined,
};

/** The guard for a handshake; `protocol` is the one that would be opened. */
export function guardOfUpgrade(
  vhost: Pick<SiteVhost, "match" | "guard" | "gates">,
  path: ByteString,
  protocol: string | undefined,
): Guard | undefined {
  const match = vhost.match(path);
  // A protocol that sees requests first decides by answering them, and this is no request.
  if (match?.config["interceptor-path"] !== undefined) return CLOSED;
  const guard = match ? match.guard : vhost.guard;
  const gate = protocol === undefined ? undefined : vhost.gates?.get(protocol);
  // One handshake has room for one password, and the protocol's is the more particular one.
  return gate ? { rules: guard?.rules ?? [], password: gate } : guard;
}
