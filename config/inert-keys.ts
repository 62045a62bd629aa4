// Keys of lwsws that are known and do nothing here: what each is, why, and what to use instead.
// A key leaves this table for a shape when it comes to work.

import { readFlag } from "./shape.ts";

export type InertKey = {
  /** Continues `"key" …`; one line. */
  readonly says: string;
  /** Being off is what happens anyway, so nothing is said then. */
  readonly isFlag?: true;
  /** It guards something: to serve without it would open what the file closes. */
  readonly isGuard?: true;
};

export type InertKeys = Readonly<Record<string, InertKey>>;

/** True when the key asks for something that does not happen. */
export function isMissed(key: InertKey, value: unknown): boolean {
  return !(key.isFlag && readFlag(value) === false);
}

const key = (says: string): InertKey => ({ says });
const flagKey = (says: string): InertKey => ({ says, isFlag: true });

const QUIC = "tunes HTTP/3; Node has no QUIC, so it has no effect";
const CLIENT_TLS = "sets up TLS towards proxied servers; has no effect until proxy mounts exist";

export const inertGlobalKeys: InertKeys = {
  interface: key("never had an effect in lwsws either; set interface in each vhost"),
  "count-async-threads": key(
    "sizes lwsws's pool for blocking file reads; Node has its own, sized by UV_THREADPOOL_SIZE",
  ),
  "ip-limit-ah": key(
    "limits requests being parsed per client address; has no effect, parsing holds no scarce slot here; ip-limit-wsi limits connections",
  ),
  "cpd-bypass": flagKey("switches off captive portal detection; there is none here"),
  "quic-pad-crypto": flagKey(QUIC),
  "allow-early-data": flagKey(
    "allows TLS 0-RTT, which can be replayed; Node's server does not offer it",
  ),
  "quic-only-latest": flagKey(QUIC),
  "quic-early-key-update": flagKey(QUIC),
};

export const inertVhostKeys: InertKeys = {
  "enable-client-ssl": flagKey(CLIENT_TLS),
  "client-ssl-key": key(CLIENT_TLS),
  "client-ssl-cert": key(CLIENT_TLS),
  "client-ssl-ca": key(CLIENT_TLS),
  "client-ssl-ciphers": key(CLIENT_TLS),
  "client-tls13-ciphers": key(CLIENT_TLS),
  "client-ecdh-curve": key(CLIENT_TLS),
  "ssl-client-option-set": key(CLIENT_TLS),
  "ssl-client-option-clear": key(CLIENT_TLS),
  "ignore-missing-cert": flagKey(
    "starts a vhost whose certificate is not there yet; not available yet, get the certificate first",
  ),
  "strict-host-check": flagKey(
    "drops WebSocket upgrades for another host; not available yet, unknown hosts go to the first vhost of the address",
  ),
  "disable-no-protocol-ws-upgrades": key(
    'refuses WebSockets that name no protocol; has no effect, they are refused unless a protocol has "default"',
  ),
  "h2-half-closed-long-poll": flagKey(
    "keeps HTTP/2 streams open whose client has sent all; has no effect, none is cut for that here",
  ),
  "fo-listen-queue": key("sizes the TCP Fast Open queue; Node cannot set it"),
  dht: key("joins a distributed hash table; not part of this server"),
  "quic-mtu": key(QUIC),
  "quic-preferred-addresses": key(QUIC),
  "ws-extensions": key(
    'never had an effect in lwsws either; "permessage-deflate" of a protocol turns compression on',
  ),
};

export const inertMountKeys: InertKeys = {
  protocol: key(
    'never had an effect in lwsws either; name the protocol in the origin, "callback://NAME"',
  ),
  "auth-mask": key(
    "is a hint about access rights for plugins of lwsws; no plugin here asks for it",
  ),
  interpret: key(
    "passes files through a protocol; no plugin of lwsws implements it any more, and none here",
  ),
  "keepalive-timeout": key(
    "overrides the idle limit for one mount; not available yet, the vhost's keepalive_timeout holds",
  ),
  "no-ws-upgrades": flagKey(
    "skips a mount for WebSocket upgrades; has no effect, upgrades never reach a mount here",
  ),
};

/** Options of a protocol that belong to the server, not to the plugin. */
export const inertProtocolKeys: InertKeys = {
  raw: key(
    "marks a protocol for raw connections in lwsws; here the vhost's listen-accept-protocol names it",
  ),
};

/** Keys that lwsws adds up when they are repeated in one object; any other repeated key is a mistake. */
export const repeatableKeys: ReadonlySet<string> = new Set([
  "plugin-dir",
  "ssl-option-set",
  "ssl-option-clear",
  "ssl-client-option-set",
  "ssl-client-option-clear",
  "filepath",
  "filespath",
  "origins",
]);
