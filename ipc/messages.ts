// Every message between supervisor and worker: one table per direction. Types, decoding and the duty to handle
// each one come from these tables; nothing else crosses the pipe.

import {
  array,
  boolean,
  bytes,
  integer,
  number,
  object,
  string,
  trusted,
  type Infer,
} from "../config/shape.ts";
import type { PasswordFile } from "../config/password-file.ts";
import type { ServerConfig } from "../config/server.ts";
import type { BoardUpdate } from "./board-update.ts";
import { sample } from "./stats.ts";

/** A socket the worker inherits, and which vhosts answer on it (indexes into ServerConfig.vhosts). */
export type WorkerListener = {
  /** The address as bound, such as "0.0.0.0:7681", "[::1]:80" or "unix:/run/site.sock". */
  readonly address: string;
  /** Descriptor number in the worker; undefined where the supervisor accepts. */
  readonly fd: number | undefined;
  readonly port: number;
  readonly secure: boolean;
  readonly vhosts: readonly number[];
  /** Local addresses on a wildcard socket that have vhosts of their own. */
  readonly overrides: readonly { readonly address: string; readonly vhosts: readonly number[] }[];
};

/** Certificate, key and authorities of one vhost as PEM bytes, an OCSP response as DER; only the supervisor reads the files. */
export type VhostSecrets = {
  readonly vhost: number;
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
  readonly ca: Uint8Array | undefined;
  readonly ocsp: Uint8Array | undefined;
};

/** Identity of the user the worker becomes. */
export type WorkerUser = { readonly name: string; readonly uid: number; readonly gid: number };

export type Configuration = {
  readonly worker: number;
  readonly slot: number;
  readonly generation: number;
  readonly version: string;
  readonly config: ServerConfig;
  readonly listeners: readonly WorkerListener[];
  readonly secrets: readonly VhostSecrets[];
  /** Every file that "basic-auth" names, once; only the supervisor reads them. */
  readonly passwordFiles: readonly PasswordFile[];
  /** What every worker makes the keys of TLS session tickets from. */
  readonly ticketSecret: Uint8Array;
  /** Inherited file for ipc/activity.ts; undefined where there is nothing to note. */
  readonly activityFd: number | undefined;
  /** Inherited end of posix/handover.ts, through which connections come; undefined where the worker accepts by itself. */
  readonly handoverFd: number | undefined;
  readonly user: WorkerUser | undefined;
  /** Only the answer is wanted, ready or rejected: nothing is made that stays behind. */
  readonly isProbe?: true;
};

/**
 * The same as it travels. What all workers of a generation share is encoded once for all of them, and as the JSON that it
 * was read from: for ten thousand mounts that takes a third of the time of msgpack, in both directions.
 */
export type SentConfiguration = Omit<Configuration, "config"> & { readonly config: Uint8Array };

/** A configuration as it travels. How to reach other machines, and with what password, is none of the workers' business. */
export function encodeConfig(config: ServerConfig): Uint8Array {
  const { bus: _bus, ...global } = config.global;
  return Buffer.from(JSON.stringify({ ...config, global }));
}

/** What was sent, in full. */
export function decodeConfiguration(sent: SentConfiguration): Configuration {
  const text = Buffer.from(sent.config.buffer, sent.config.byteOffset, sent.config.length);
  return { ...sent, config: JSON.parse(text.toString()) as ServerConfig };
}

/** Connections offered to one worker that it has not taken yet. */
export const MAX_UNTAKEN = 64;

const storeChange = { scope: string(), key: string(), data: bytes(), isGone: boolean() };

/** What the supervisor says. The supervisor is trusted, so bodies made by our own code pass undecoded. */
export const toWorker = {
  /** First message: become this. Answered by ready or rejected. */
  configure: trusted<SentConfiguration>(),
  /** Every worker of the generation is ready: listen and accept. Answered by serving or rejected. */
  open: object({}),
  /** A newer generation serves: finish what you have and leave. */
  drain: object({}),
  /** End soon: WebSockets and idle connections now, requests within `withinMs`. */
  stop: object({ withinMs: integer() }),
  /** WebSockets of a draining worker end now (1012). */
  shed: object({}),
  /** Whether every worker of this generation serves; told when it changes, and to each worker when it serves. */
  health: object({ allServe: boolean() }),
  /** There are connections to be taken. Answered by connections. */
  offered: object({}),
  reopen: object({}),
  /** New certificates of some vhosts, for connections from now on. */
  certificates: trusted<{ readonly secrets: readonly VhostSecrets[] }>(),
  /** A new secret for session tickets; every worker gets it at once. */
  tickets: object({ secret: bytes() }),
  /** For those who watch. */
  board: trusted<BoardUpdate>(),
  /** Rows of BoardHistory, one behind the other, as numbers of 64 bits. */
  history: trusted<{ readonly seconds: Uint8Array; readonly minutes: Uint8Array }>(),
  /** Workers of other machines have numbers below 0. */
  deliver: object({ topic: string(), from: integer(), data: bytes() }),
  departed: object({ worker: integer() }),
  /** Another machine is heard on the bus that was not before. */
  arrived: object({}),
  /** A key of a plugin's store as it stands now; `from` is the worker that changed it, 0 at the start. */
  stored: object({ ...storeChange, from: integer() }),
};

const provisionProblem = object({ vhost: integer(), path: string(), message: string() });

/** What a worker says. It faces the network: everything is decoded strictly. */
export const toSupervisor = {
  ready: object({}),
  rejected: object({ problems: array(provisionProblem) }),
  serving: object({}),
  /** The worker leaves on its own account (a fatal error, a SIGTERM from outside): replace it now. */
  leaving: object({ reason: string() }),
  heartbeat: object({}),
  /**
   * Offers up to this one are taken, but for those that could not be: nothing has been read from them, and the supervisor
   * still has them. `open` is how many the worker has now; it says so after each change.
   */
  connections: object({
    upTo: number().min(0),
    declined: array(number()).max(MAX_UNTAKEN),
    open: number().min(0),
  }),
  /** `last` marks the final sample of a worker that leaves. */
  sample: object({ sample, last: boolean() }),
  reopened: object({ failed: array(string()) }),
  /** Log files are not where they were, and this worker cannot make them anew. Answered by reopen. */
  logsLost: object({}),
  watch: object({ on: boolean() }),
  /** Answered by history. */
  recall: object({}),
  subscribe: object({ topic: string(), on: boolean() }),
  publish: object({ topic: string(), data: bytes() }),
  store: object(storeChange),
};

export type ToWorker = { [Name in keyof typeof toWorker]: Infer<(typeof toWorker)[Name]> };
export type ToSupervisor = {
  [Name in keyof typeof toSupervisor]: Infer<(typeof toSupervisor)[Name]>;
};
