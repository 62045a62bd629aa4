// The keys of one virtual host.

import { addressKeys } from "./access.ts";
import { errorPages, pagePath } from "./error-pages.ts";
import { vhostLimits } from "./limits.ts";
import type { MountConfig } from "./mount.ts";
import { networks } from "./networks.ts";
import { headerPairs } from "./pairs.ts";
import type { ProtocolConfig } from "./protocol.ts";
import { sts } from "./sts.ts";
import {
  array,
  check,
  choice,
  convert,
  flag,
  integer,
  noItems,
  object,
  path,
  seconds,
  secondsOr,
  setting,
  shown,
  text,
  type Infer,
} from "./shape.ts";

export type { HeaderPair } from "./pairs.ts";

/** Every key of a vhost that works, but for "mounts" and "ws-protocols"; the description is its manual entry. */
export const vhostShape = object({
  name: check(text(), nameFault).default("default").meta({
    description:
      'DNS name or IP address that clients ask for (Host, SNI); "*.example.com" stands for any one label before it. The first vhost of an address answers for unknown names.',
  }),
  port: integer({ min: -2, max: 65_535 })
    .exactOptional()
    .meta({
      description:
        "TCP port; 0 takes any free one, -1 and -2 listen nowhere. Needed unless unix-socket is on.",
      examples: ["443"],
    }),
  // IPv6 addresses are often written as in URLs.
  interface: convert(path(), (name) => name.replace(/^\[(.*)\]$/, "$1"))
    .exactOptional()
    .meta({
      description:
        "Network device or numeric address to listen on, all by default; with unix-socket the path of the socket, or @name.",
      examples: ["eth0", "192.0.2.1", "::1", "/run/site.sock"],
    }),
  "unix-socket": flag().meta({
    description: "Listen on a Unix socket: interface is its path, or @name for one without a file.",
  }),
  "unix-socket-perms": check(text(), (value) =>
    /^[^:\s]+:[^:\s]+$/.test(value) ? undefined : 'Expected "user:group"',
  )
    .exactOptional()
    .meta({
      description: 'Owner of the socket file as "user:group"; its mode is 0660.',
      examples: ["www-data:www-data"],
    }),
  noipv6: flag().meta({ description: "Listen on IPv4 only." }),
  ipv6only: setting().exactOptional().meta({ description: "Listen on IPv6 only." }),
  sts: sts().meta({
    description:
      'Send Strict-Transport-Security over TLS, so that browsers come back over TLS only: "1" for half a year and all subdomains, or an object with max-age (seconds) and the flags includeSubDomains and preload. It replaces what mounts and headers say; in clear the field is never sent.',
    examples: [{ "max-age": 31_536_000, includeSubDomains: true }],
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
      "Certificates of authorities, PEM: with client-cert-required those that clients' certificates must come from, each chain up to its root; else they complete the chain of host-ssl-cert where it lacks some.",
  }),
  "ocsp-staple": path().exactOptional().meta({
    description:
      "File with an OCSP response for the certificate, DER, that TLS shows with it; looked at like the certificate.",
  }),
  "client-cert-required": flag().meta({
    description:
      "Admit only clients with a certificate of an authority in host-ssl-ca. CGI programs see it as SSL_CLIENT_*. A request that comes over a connection made under other rules is answered 421.",
  }),
  "redirect-http": flag().meta({
    description:
      "Answer plain HTTP on the TLS port with a redirect (301) to the same address under https; without this and allow-http-on-https it gets 400.",
  }),
  "allow-http-on-https": flag().meta({
    description:
      "Serve plain HTTP on the TLS port as well, but for vhosts with client-cert-required.",
  }),
  "listen-accept-protocol": text()
    .exactOptional()
    .meta({
      description:
        "Protocol for connections that are not HTTP, one of ws-protocols, such as raw-proxy. Counts for the whole listener on its first vhost; needs apply-listen-accept or fallback-listen-accept.",
      examples: ["raw-proxy"],
    }),
  "listen-accept-role": check(text(), (value) =>
    ["raw-skt", "raw-proxy"].includes(value) ? undefined : "Expected raw-skt or raw-proxy",
  )
    .exactOptional()
    .meta({
      description:
        "As lwsws files have it beside listen-accept-protocol; the protocol alone decides here.",
    }),
  "apply-listen-accept": flag().meta({
    description:
      "Give every connection of the listener to listen-accept-protocol (also spelled onlyraw); over TLS where the vhost has a certificate.",
  }),
  "fallback-listen-accept": flag().meta({
    description:
      "Give connections that do not begin with a request of HTTP to listen-accept-protocol.",
  }),
  "allow-non-tls": flag().meta({
    description:
      "With fallback-listen-accept on a TLS port: take connections that do not begin with TLS, so that ssh and https share a port.",
  }),
  ciphers: names().exactOptional().meta({
    description:
      "Ciphers of TLS 1.2, as an OpenSSL cipher string; by default Mozilla's intermediate list.",
  }),
  "tls13-ciphers": names().exactOptional().meta({
    description: "Cipher suites of TLS 1.3, separated by colons.",
  }),
  "ecdh-curve": names().exactOptional().meta({
    description:
      "Groups for the key exchange, separated by colons, the preferred one first; by default X25519MLKEM768:X25519:prime256v1:secp384r1.",
  }),
  "ssl-option-set": array(sslFlags()).exactOptional().meta({
    description:
      "OpenSSL option flags (SSL_OP_…) as a decimal number. May be given several times; all count. The flags that switch off TLS 1.2 or 1.3 work too; older versions are always off.",
  }),
  "ssl-option-clear": array(sslFlags()).exactOptional().meta({
    description: "Takes flags of ssl-option-set back; OpenSSL's own defaults cannot be cleared.",
  }),
  alpn: names().exactOptional().meta({
    description:
      'Application protocols that TLS offers, separated by commas; by default "h2,http/1.1", which is all there is.',
  }),
  "access-log": path()
    .exactOptional()
    .meta({
      description:
        'File for the access log in Combined format; "-" or "/dev/stdout" is the standard output of the server, "/dev/stderr" its standard error. Without it nothing is logged.',
      examples: ["/var/log/portico/access.log"],
    }),
  "access-log-format": choice("combined", "vhost_combined", "json").default("combined").meta({
    description:
      "One of combined and vhost_combined, Apache's byte for byte, and json, one object in each line.",
  }),
  "request-id": flag().meta({
    description:
      "Gives each request a random identifier: in the answer as X-Request-Id, in the access log as its last field, for programs as HTTP_X_REQUEST_ID. One that a trusted proxy sends is kept.",
  }),
  "trusted-proxies": networks().exactOptional().meta({
    description: "As global trusted-proxies, for this vhost.",
  }),
  ...addressKeys,
  "proxy-protocol": networks()
    .exactOptional()
    .meta({
      description:
        'Addresses and networks of proxies that begin each connection with a PROXY protocol header, version 1 or 2, before TLS or HTTP; the client it names takes the place of the proxy. Anyone else is refused, and so is a connection without the header. "unix:" stands for whoever comes over a Unix socket. Holds for the whole address, so all its vhosts have to agree.',
      examples: ["192.0.2.10"],
    }),
  "error-pages": errorPages().meta({
    description:
      "Pages instead of the built-in ones, by status: paths of files on this vhost, up to 256 KiB, sent with the status of the error. Read at the start and when they have changed. What programs, protocols and other servers answer themselves is left alone.",
    examples: [{ "404": "/404.html", "503": "/busy.html" }],
  }),
  "error-document-404": pagePath()
    .exactOptional()
    .meta({
      description:
        "Sends whoever asks for what is not there to this path with 302, as lwsws does; the page itself then has the status 404. With error-pages nobody is sent anywhere, which search engines prefer.",
      examples: ["/404.html"],
    }),
  ...vhostLimits,
  keepalive_timeout: secondsOr(5).meta({
    description:
      "Seconds an idle connection is kept for the next request (also spelled keepalive-timeout); 0 means the default.",
  }),
  "drain-secs": seconds(0).exactOptional().meta({
    description: "As global drain-secs, for this vhost.",
  }),
  headers: headerPairs()
    .default(noItems)
    .meta({
      description: "Headers for every answer of this vhost: an array of objects, or one object.",
      examples: [{ "X-Content-Type-Options": "nosniff" }],
    }),
});

/** Of a DNS name (RFC 1035 2.3.4). */
const MAX_NAME_LENGTH = 255;

function nameFault(name: string): string | undefined {
  if (!/^[^\s\p{Cc}/]+$/u.test(name) || name.length > MAX_NAME_LENGTH)
    return `Expected a host name, got ${shown(name)}`;
  return /^(?:\*\.)?[^*]+$/.test(name)
    ? undefined
    : 'A "*" stands for the whole first label only: "*.example.com"';
}

/** Names with separators between them, as OpenSSL and ALPN lists are written. */
function names() {
  return check(text(), (value) => (/[^:,; /]/.test(value) ? undefined : "Names nothing"));
}

/** Bits of a 64-bit word, as far as a number holds them exactly. */
function sslFlags() {
  return integer({ min: 0 });
}

export const vhostPaths = [
  "host-ssl-key",
  "host-ssl-cert",
  "host-ssl-ca",
  "ocsp-staple",
  "access-log",
] as const;

export type VhostKeys = Readonly<Infer<typeof vhostShape>>;

export type VhostConfig = VhostKeys & {
  readonly mounts: readonly MountConfig[];
  readonly "ws-protocols": readonly ProtocolConfig[];
  /** Where it stands: file relative to the configuration directory, and path in that file. For messages only. */
  readonly where: { readonly file: string; readonly path: string };
};
