// The TLS servers of one listener: one for each certificate with its settings, made when the first client needs it, because
// OpenSSL takes 34 KB and 0.4 ms for one and a site may have thousands. Certificates and ticket keys change under way;
// connections that are there keep what they were made with.

import { createHash, hkdfSync } from "node:crypto";
import tls from "node:tls";
import type { OpenSsl, TlsContext } from "../posix/openssl.ts";
import { vhostKey } from "../config/listeners.ts";
import type { ServerConfig } from "../config/server.ts";
import { clientRules, tlsSettings } from "../config/tls-settings.ts";
import type { VhostConfig } from "../config/vhost.ts";
import type { VhostSecrets } from "../ipc/messages.ts";
import type { WorkerCounters } from "../ipc/stats.ts";
import type { Logger } from "../log/logger.ts";
import { readClientCertificate } from "./client-certificate.ts";
import type { TlsSession } from "./http/connection.ts";

/** Of a session id context; OpenSSL takes 32 bytes. */
const CONTEXT_CHARACTERS = 32;
/** What Node takes: a name, a key for the integrity and one for the secrecy of tickets. */
const TICKET_KEY_BYTES = 48;

/** A client that has closed its side and takes nothing of its answer from one look to the next is gone. */
const GOODBYE_LOOK_MS = 1_000;

export type TlsServersOptions = {
  readonly config: ServerConfig;
  readonly secrets: readonly VhostSecrets[];
  /** What the ticket keys of all servers are made from; the same in every worker. */
  readonly ticketSecret: Uint8Array;
  readonly log: Logger;
  readonly handshakeMs: number;
  /** Where connections can do without TLSSocket. */
  readonly openSsl: OpenSsl | undefined;
  readonly counts: Pick<WorkerCounters, "tlsHandshakes" | "tlsResumed" | "tlsFailed">;
  /** The handshake is done. `socket.alpnProtocol` tells what was settled on. */
  readonly onSecure: (socket: tls.TLSSocket, session: TlsSession) => void;
};

export type TlsServers = {
  /** The server of a vhost; undefined where it has no certificate, or one that OpenSSL does not take. */
  of(vhost: number): tls.Server | undefined;
  /** What its connections begin with that do without TLSSocket; undefined where they cannot. */
  contextOf(vhost: number): TlsContext | undefined;
  /** New certificates for some vhosts. */
  renew(secrets: readonly VhostSecrets[]): void;
  /** New ticket keys; tickets of the old ones lead to full handshakes, as Node knows one key at a time. */
  renewTickets(ticketSecret: Uint8Array): void;
};

/** One certificate with its settings. What is undefined has not been needed yet; what is null cannot be had. */
type Entry = {
  readonly vhost: VhostConfig;
  readonly secret: VhostSecrets;
  readonly sessionContext: string;
  server?: tls.Server | null;
  bare?: TlsContext | null;
};

/** Makes no server yet. */
export function createTlsServers(options: TlsServersOptions): TlsServers {
  const { config, log, openSsl } = options;
  const secrets = new Map(options.secrets.map((secret) => [secret.vhost, secret]));
  const identities = new Map<number, string>();
  const entries = new Map<string, Entry>();
  let { ticketSecret } = options;

  function find(index: number): Entry | undefined {
    const known = identities.get(index);
    const kept = known === undefined ? undefined : entries.get(known);
    if (kept) return kept;
    const secret = secrets.get(index);
    const vhost = config.vhosts[index];
    if (!secret || !vhost) return undefined;
    const context = sessionContext(vhost, secret, config);
    const identity = identityOf(secret, context);
    identities.set(index, identity);
    const entry = entries.get(identity) ?? { vhost, secret, sessionContext: context };
    entries.set(identity, entry);
    return entry;
  }

  function attempt<T>({ vhost }: Entry, make: () => T): T | null {
    try {
      return make();
    } catch (error) {
      // The supervisor has tried the same, so this is next to impossible; a client more or less must not end the worker.
      log.error({ err: error }, `TLS of "${vhostKey(vhost)}" cannot be set up`);
      return null;
    }
  }

  function contextOptions({
    vhost,
    secret,
    sessionContext: context,
  }: Entry): tls.SecureContextOptions {
    const { ALPNProtocols: _protocols, ...settings } = tlsSettings(vhost, config.global);
    return {
      ...settings,
      cert: Buffer.from(secret.cert),
      key: Buffer.from(secret.key),
      ...(secret.ca && { ca: Buffer.from(secret.ca) }),
      // Clients know whether they have AES in hardware (Mozilla's recommendation); SSL_OP_CIPHER_SERVER_PREFERENCE turns it round.
      honorCipherOrder: false,
      ticketKeys: deriveTicketKeys(ticketSecret, context),
      sessionIdContext: context,
    };
  }

  function prepare(entry: Entry): TlsContext | undefined {
    const { vhost, secret } = entry;
    // What a client shows, and what is stapled, is Node's to handle.
    if (!openSsl || clientRules(vhost) !== "" || secret.ocsp) return undefined;
    const { ALPNProtocols } = tlsSettings(vhost, config.global);
    return openSsl.prepare(tls.createSecureContext(contextOptions(entry)), ALPNProtocols);
  }

  return {
    of(index) {
      const entry = find(index);
      if (!entry) return undefined;
      entry.server ??= attempt(entry, () => createServer(entry, contextOptions(entry), options));
      return entry.server ?? undefined;
    },
    contextOf(index) {
      const entry = find(index);
      if (!entry || entry.bare === null) return undefined;
      entry.bare ??= attempt(entry, () => prepare(entry)) ?? null;
      return entry.bare ?? undefined;
    },
    renew(renewed) {
      for (const secret of renewed) {
        secrets.set(secret.vhost, secret);
        identities.delete(secret.vhost);
      }
      const inUse = new Set(identities.values());
      for (const identity of entries.keys()) if (!inUse.has(identity)) entries.delete(identity);
    },
    renewTickets(renewed) {
      ticketSecret = renewed;
      for (const { sessionContext: context, server, bare } of entries.values()) {
        const keys = deriveTicketKeys(renewed, context);
        server?.setTicketKeys(keys);
        bare?.setTicketKeys(keys);
      }
    },
  };
}

/** Vhosts with equal certificates and settings share a server. */
function identityOf({ cert, key, ca, ocsp }: VhostSecrets, context: string): string {
  return digest(cert, key, ca ?? "", ocsp ?? "", context);
}

/**
 * Sessions resume between vhosts with equal settings. A vhost that asks for client certificates has a context of its own,
 * so nothing that was begun elsewhere, or under other authorities, gets past that question.
 */
function sessionContext(vhost: VhostConfig, secret: VhostSecrets, config: ServerConfig): string {
  const rules = clientRules(vhost) === "" ? [] : [vhostKey(vhost), secret.ca ?? ""];
  const settings = JSON.stringify(tlsSettings(vhost, config.global));
  return digest(settings, ...rules).slice(0, CONTEXT_CHARACTERS);
}

/** Keys of their own for each context: a ticket cannot even be read in another one. */
function deriveTicketKeys(secret: Uint8Array, context: string): Buffer {
  return Buffer.from(
    hkdfSync("sha256", secret, "", `session tickets ${context}`, TICKET_KEY_BYTES),
  );
}

function createServer(
  { vhost, secret }: Entry,
  context: tls.SecureContextOptions,
  options: TlsServersOptions,
): tls.Server {
  const { log, counts, onSecure } = options;
  const { ALPNProtocols } = tlsSettings(vhost, options.config.global);
  const rules = clientRules(vhost);
  const asksClient = rules !== "";
  const watchGoodbye = createGoodbyeWatch();
  const server = tls.createServer({
    ...context,
    ALPNProtocols: [...ALPNProtocols],
    // A client without a certificate gets an alert; one with a bad one is cut by Node, whose OpenSSL callback lets all pass.
    requestCert: asksClient,
    rejectUnauthorized: asksClient,
    handshakeTimeout: options.handshakeMs,
  });
  const { ocsp } = secret;
  if (ocsp) server.on("OCSPRequest", (_own, _issuer, answer) => answer(null, Buffer.from(ocsp)));
  server.on("secureConnection", (socket) => {
    // Node cuts what is not authorized; to take one for a client that is would open the vhost.
    if (asksClient && !socket.authorized) {
      counts.tlsFailed += 1;
      return void socket.destroy();
    }
    counts.tlsHandshakes += 1;
    if (socket.isSessionReused()) counts.tlsResumed += 1;
    socket.once("end", watchGoodbye);
    onSecure(socket, {
      clientRules: rules,
      client: asksClient ? readClientCertificate(socket) : undefined,
    });
  });
  server.on("tlsClientError", (error: NodeJS.ErrnoException, socket) => {
    counts.tlsFailed += 1;
    log.debug({ code: error.code, vhost: vhost.name }, "TLS handshake failed");
    socket.destroy();
  });
  return server;
}

/**
 * Node does not always tell that a write has failed when the client said goodbye and then reset the connection: such a
 * socket would stay until its sending time is over. A client that still listens takes something from one look to the next.
 * Returns a listener for "end".
 */
function createGoodbyeWatch(): (this: tls.TLSSocket) => void {
  /** What each has taken of what waits for it, at the last look. */
  const leaving = new Map<tls.TLSSocket, number | undefined>();
  let timer: NodeJS.Timeout | undefined;
  // One timer for all, which ends with the first look at nobody: most connections are gone before anyone looks.
  function look(): void {
    if (leaving.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
    for (const [socket, before] of leaving) {
      const isWaiting = socket.writableLength > 0;
      const taken = isWaiting ? socket.bytesWritten - socket.writableLength : undefined;
      leaving.set(socket, taken);
      if (isWaiting && taken === before) socket.destroy();
    }
  }
  function forget(this: tls.TLSSocket): void {
    leaving.delete(this);
  }
  return function watch() {
    leaving.set(this, undefined);
    this.on("close", forget);
    timer ??= setInterval(look, GOODBYE_LOOK_MS).unref();
  };
}

function digest(...parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash("sha256");
  // Each with its length, so that no two lists come to one text.
  for (const part of parts) hash.update(`${part.length} `).update(part);
  return hash.digest("hex");
}
