// Rules about connections that are not HTTP: which protocol takes them, and what such a vhost must not ask for. Pure.

import { isSecure } from "./listeners.ts";
import type { Severity } from "./problems.ts";
import type { ProtocolConfig } from "./protocol.ts";
import { suggest } from "./suggest.ts";
import type { VhostKeys } from "./vhost.ts";

type Say = (path: string, severity: Severity, message: string) => void;

const PROTOCOL = "listen-accept-protocol";

/** Reports what cannot work in the keys of one vhost. */
export function checkRaw(vhost: VhostKeys, protocols: readonly ProtocolConfig[], say: Say): void {
  const name = vhost[PROTOCOL];
  const { "apply-listen-accept": takesAll, "fallback-listen-accept": takesRest } = vhost;
  if (name === undefined) {
    for (const key of ["apply-listen-accept", "fallback-listen-accept"] as const)
      if (vhost[key])
        say(key, "error", `Needs "${PROTOCOL}", the protocol that takes the connections`);
    if (vhost["listen-accept-role"] !== undefined)
      say("listen-accept-role", "notice", `Has no effect without "${PROTOCOL}"`);
  } else {
    const names = protocols.map((protocol) => protocol.name);
    if (!names.includes(name))
      say(
        PROTOCOL,
        "error",
        `The protocol "${name}" is not among the ws-protocols of this vhost${suggest(name, names)}`,
      );
    if (!takesAll && !takesRest)
      say(
        PROTOCOL,
        "notice",
        "Has no effect without apply-listen-accept or fallback-listen-accept",
      );
  }
  if (takesAll && takesRest)
    say(
      "fallback-listen-accept",
      "notice",
      "Has no effect: apply-listen-accept takes all connections",
    );
  if (!vhost["allow-non-tls"]) return;
  if (!isSecure(vhost))
    say("allow-non-tls", "notice", "Has no effect: this vhost has no certificate");
  else if (vhost["client-cert-required"])
    say(
      "allow-non-tls",
      "error",
      'Contradicts "client-cert-required": in clear no client can prove who it is',
    );
  else if (!takesRest || takesAll)
    say(
      "allow-non-tls",
      "notice",
      "Has no effect without fallback-listen-accept. For plain HTTP there are redirect-http and allow-http-on-https",
    );
}
