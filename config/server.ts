// The keys of "global", and the shape of a whole configuration once it is read: what the supervisor sends to its workers.
// Keys keep the spelling of the files ("drain-secs"), so one search finds a key everywhere.

import { busShape } from "./bus.ts";
import { keywordRefusals } from "./access.ts";
import { MAX_WORKERS } from "./max-workers.ts";
import { globalLimits } from "./limits.ts";
import { networks } from "./networks.ts";
import { headerFault, toByteString } from "./pairs.ts";
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
  text,
  type Infer,
} from "./shape.ts";
import type { VhostConfig } from "./vhost.ts";

const MAX_ID = 4_294_967_294;

/** Every key of "global" that works; the description is its manual entry. */
export const globalShape = object({
  uid: integer({ min: 0, max: MAX_ID })
    .exactOptional()
    .meta({ description: "Numeric user the workers run as; 0 leaves the user as it is." }),
  gid: integer({ min: 0, max: MAX_ID })
    .exactOptional()
    .meta({ description: "Numeric group the workers run as; 0 leaves the group as it is." }),
  username: text()
    .exactOptional()
    .meta({
      description: "Name of the user the workers run as; a name that does not exist is an error.",
      examples: ["www-data"],
    }),
  groupname: text().exactOptional().meta({ description: "Name of the group the workers run as." }),
  "count-threads": integer({ min: 1, max: MAX_WORKERS })
    .exactOptional()
    .meta({ description: "Number of worker processes; by default one per processor." }),
  "server-string": convert(check(text(), headerFault), toByteString)
    .exactOptional()
    .meta({
      description: "Value of the Server header; without it no such header is sent.",
      examples: ["portico"],
    }),
  "plugin-dir": array(path())
    .default(noItems)
    .meta({
      description:
        "Directory with protocol plugins. May be given several times and in several files; all count.",
      examples: ["/usr/local/lib/portico"],
    }),
  "timeout-secs": secondsOr(15).meta({
    description:
      "Longest wait for a TLS handshake, a PROXY header, a request header or the next bytes of a body; 0 means the default.",
  }),
  ...globalLimits,
  "reject-service-keywords": keywordRefusals()
    .default(noItems)
    .meta({
      description:
        "Words in a User-Agent, upper and lower case apart, with the status and text such a client gets before its connection is closed: an array of objects, or one object. The first word that is found decides.",
      examples: [{ BadBot: "403 No robots" }],
    }),
  "trusted-proxies": networks()
    .default(noItems)
    .meta({
      description:
        'Proxies in front of this server whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses, networks, or "unix:" for whoever comes over a Unix socket. X-Forwarded-For is read from the right, past trusted addresses; what it names is the client for logs, rules, programs and protocols. X-Forwarded-Proto decides HTTPS for programs; sts stays with TLS of this server. Other such fields (Forwarded, X-Real-IP) are not read.',
      examples: ["10.0.0.0/8, unix:"],
    }),
  "init-ssl": flag().meta({
    description: "Turns TLS on; required before any vhost may have host-ssl keys.",
  }),
  "default-alpn": text().exactOptional().meta({
    description: "As alpn of a vhost, for those that have none of their own.",
  }),
  "drain-secs": seconds(0).default(300).meta({
    description:
      "How long workers of an old configuration may finish requests and WebSockets after a reload.",
  }),
  "ticket-key-secs": seconds(1).default(43_200).meta({
    description:
      "How long the keys of TLS session tickets last; then all workers get new ones. Node knows one key at a time, so the sessions of older tickets begin with a full handshake.",
  }),
  "cert-check-secs": seconds(0).default(60).meta({
    description:
      "How often the files of certificates are looked at; a new pair that is good is used without a reload, a bad one keeps the old. 0 looks at reloads only.",
  }),
  "stop-secs": seconds(0).default(5).meta({
    description: "How long requests in flight may take to finish when the server stops.",
  }),
  "watchdog-secs": seconds(1).default(10).meta({
    description: "A worker that shows no sign of life for this long is killed and replaced.",
  }),
  "ready-secs": seconds(1).default(30).meta({
    description:
      "How long new workers may take to become ready before a start or reload is given up.",
  }),
  "pid-file": path().exactOptional().meta({
    description:
      "File that holds the process id of the supervisor while it runs; also the lock against a second start.",
  }),
  "control-socket": path().exactOptional().meta({
    description: "Unix socket for portico status, reload, reopen and stop.",
  }),
  distribution: choice("shared", "balanced").default("shared").meta({
    description:
      'How connections reach the workers. "shared": all of them accept from one queue, which costs least and spreads short connections well. "balanced": each goes to the worker with the fewest, also where few and long ones such as WebSockets would gather in some workers.',
  }),
  bus: busShape.exactOptional().meta({
    description:
      'Carries the bus of protocol plugins to other machines: {"nats": URL} names a NATS server that all of them reach, or an array of URLs those of a cluster. Vhosts of the same name and port share their topics; stores stay with their machine. "tls://" insists on TLS, "nats://" takes it where the server offers it; a user and password, or a token, stand before the "@". While the server cannot be reached the bus is that of this machine alone, and what would have gone out is lost and counted.',
    examples: [{ nats: "nats://10.0.0.5:4222" }],
  }),
  "nats-ca": path().exactOptional().meta({
    description:
      "File with the authorities (PEM) one of which the certificate of the NATS server must come from, instead of those that come with Node. TLS is insisted on then.",
  }),
  "nats-credentials": path().exactOptional().meta({
    description:
      "File of a NATS user (.creds: a JWT and its seed), where the server knows its users by such.",
  }),
  "ws-pingpong-secs": seconds(0).exactOptional().meta({
    description: "Ping a WebSocket that was silent for this long; 0 never pings.",
  }),
});

export const globalPaths = [
  "plugin-dir",
  "pid-file",
  "control-socket",
  "nats-ca",
  "nats-credentials",
] as const;

export type GlobalConfig = Readonly<Omit<Infer<typeof globalShape>, "plugin-dir">> & {
  readonly "plugin-dir": readonly string[];
};

/** Everything one generation of workers runs. Frozen; no functions, so it travels over IPC as it is. */
export type ServerConfig = {
  /** Absolute path of the configuration directory. */
  readonly directory: string;
  /** Absolute paths of the files read, in order. */
  readonly files: readonly string[];
  readonly global: GlobalConfig;
  readonly vhosts: readonly VhostConfig[];
};
