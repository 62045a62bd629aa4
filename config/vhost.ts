// The keys of one virtual host.

import type { MountConfig } from "./mount.ts";
import { headerPairs } from "./pairs.ts";
import type { ProtocolConfig } from "./protocol.ts";
import {
  check,
  convert,
  flag,
  integer,
  object,
  path,
  seconds,
  secondsOr,
  setting,
  text,
  type Infer,
} from "./shape.ts";

export type { HeaderPair } from "./pairs.ts";

/** Every key of a vhost that works, but for "mounts" and "ws-protocols"; the description is its manual entry. */
export const vhostShape = object({
  name: check(text(), (name) => (/^[^\s\0/]+$/.test(name) ? undefined : "Expected a host name"))
    .default("default")
    .meta({
      description:
        "DNS name or IP address that clients ask for (Host, SNI). The first vhost of an address answers for unknown names.",
    }),
  port: integer({ min: -2, max: 65_535 }).exactOptional().meta({
    description:
      "TCP port; 0 takes any free one, -1 and -2 listen nowhere. Needed unless unix-socket is on.",
  }),
  // IPv6 addresses are often written as in URLs.
  interface: convert(path(), (name) => name.replace(/^\[(.*)\]$/, "$1"))
    .exactOptional()
    .meta({
      description:
        "Network device or numeric address to listen on, all by default; with unix-socket the path of the socket, or @name.",
    }),
  "unix-socket": flag().meta({
    description: "Listen on a Unix socket: interface is its path, or @name for one without a file.",
  }),
  "unix-socket-perms": check(text(), (value) =>
    /^[^:\s]+:[^:\s]+$/.test(value) ? undefined : 'Expected "user:group"',
  )
    .exactOptional()
    .meta({ description: 'Owner of the socket file as "user:group"; its mode is 0660.' }),
  noipv6: flag().meta({ description: "Listen on IPv4 only." }),
  ipv6only: setting().exactOptional().meta({ description: "Listen on IPv6 only." }),
  sts: flag().meta({
    description: "Send Strict-Transport-Security, so that browsers come back over TLS only.",
  }),
  "host-ssl-key": path()
    .exactOptional()
    .meta({ description: "Private key, PEM. Needs host-ssl-cert." }),
  "host-ssl-cert": path().exactOptional().meta({
    description:
      "Certificate with its chain, PEM; turns TLS on for this vhost. Needs host-ssl-key.",
  }),
  "host-ssl-ca": path().exactOptional().meta({
    description:
      "Certificates of the authorities that client certificates are checked against, PEM.",
  }),
  "access-log": path().exactOptional().meta({
    description: "File for the access log in Combined format; without it nothing is logged.",
  }),
  keepalive_timeout: secondsOr(5).meta({
    description:
      "Seconds an idle connection is kept for the next request (also spelled keepalive-timeout); 0 means the default.",
  }),
  "drain-secs": seconds(0).exactOptional().meta({
    description: "As global drain-secs, for this vhost.",
  }),
  headers: headerPairs().default([]).meta({
    description: "Headers for every answer of this vhost: an array of objects, or one object.",
  }),
});

export const vhostPaths = ["host-ssl-key", "host-ssl-cert", "host-ssl-ca", "access-log"] as const;

export type VhostKeys = Readonly<Infer<typeof vhostShape>>;

export type VhostConfig = VhostKeys & {
  readonly mounts: readonly MountConfig[];
  readonly "ws-protocols": readonly ProtocolConfig[];
  /** Where it stands: file relative to the configuration directory, and path in that file. For messages only. */
  readonly where: { readonly file: string; readonly path: string };
};
