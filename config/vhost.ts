// One virtual host.

import type { MountConfig } from "./mount.ts";
import type { ProtocolConfig } from "./protocol.ts";

/** A header name and its value. */
export type HeaderPair = readonly [name: string, value: string];

export type VhostConfig = {
  readonly name: string;
  /** TCP port; 0 = any free port, negative = no listener of its own. Undefined only with "unix-socket". */
  readonly port?: number;
  readonly interface?: string;
  readonly "unix-socket": boolean;
  readonly "unix-socket-perms"?: string;
  readonly noipv6: boolean;
  readonly ipv6only?: boolean;
  readonly sts: boolean;
  readonly "host-ssl-key"?: string;
  readonly "host-ssl-cert"?: string;
  readonly "host-ssl-ca"?: string;
  readonly "access-log"?: string;
  readonly keepalive_timeout: number;
  readonly "drain-secs"?: number;
  readonly headers: readonly HeaderPair[];
  readonly mounts: readonly MountConfig[];
  readonly "ws-protocols": readonly ProtocolConfig[];
  /** Where it stands: file relative to the configuration directory, and path in that file. For messages only. */
  readonly where: { readonly file: string; readonly path: string };
};
