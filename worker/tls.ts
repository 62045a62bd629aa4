// TLS of one listener: the certificate of the vhost that the client names (RFC 6066 3), the first vhost's for any other
// name. Tickets resume on every worker, because all share the keys and the session id context.

import tls from "node:tls";
import type { Socket } from "node:net";
import type { VhostSecrets, WorkerListener } from "../ipc/messages.ts";
import type { ServerConfig } from "../config/server.ts";
import type { Logger } from "../log/logger.ts";

const SESSION_ID_CONTEXT = "portico";

export type TlsFront = {
  /** Begins the handshake on an accepted connection. */
  adopt(socket: Socket): void;
};

export type TlsOptions = {
  readonly listener: WorkerListener;
  readonly config: ServerConfig;
  readonly secrets: readonly VhostSecrets[];
  readonly ticketKeys: Uint8Array;
  readonly log: Logger;
  /** A client that does not finish the handshake is cut after this time. */
  readonly handshakeMs: number;
  /** The handshake is done. */
  readonly onSecure: (socket: tls.TLSSocket) => void;
  readonly refuse: (vhost: number, key: string, message: string) => void;
};

/** Prepares all certificates of the listener; a pair that does not fit is refused. */
export function createTlsFront(options: TlsOptions): TlsFront | undefined {
  const { listener, config } = options;
  const contexts = new Map<string, tls.SecureContext>();
  let first: VhostSecrets | undefined;
  const vhosts = [...listener.vhosts, ...listener.overrides.flatMap((override) => override.vhosts)];
  for (const index of vhosts) {
    const secret = options.secrets.find((candidate) => candidate.vhost === index);
    const vhost = config.vhosts[index];
    if (!secret || !vhost) continue;
    try {
      const context = tls.createSecureContext({
        cert: Buffer.from(secret.cert),
        key: Buffer.from(secret.key),
        minVersion: "TLSv1.2",
      });
      first ??= secret;
      if (!contexts.has(vhost.name.toLowerCase())) contexts.set(vhost.name.toLowerCase(), context);
    } catch (error) {
      options.refuse(
        index,
        "host-ssl-cert",
        `Certificate and key do not fit: ${(error as Error).message}`,
      );
    }
  }
  if (!first) return undefined;

  const server = tls.createServer({
    cert: Buffer.from(first.cert),
    key: Buffer.from(first.key),
    minVersion: "TLSv1.2",
    ALPNProtocols: ["http/1.1"],
    ticketKeys: Buffer.from(options.ticketKeys),
    sessionIdContext: SESSION_ID_CONTEXT,
    handshakeTimeout: options.handshakeMs,
    allowHalfOpen: true,
    // No throw may leave it (CVE-2026-21637): names are only looked up.
    SNICallback: (name, done) => done(null, contexts.get(name.toLowerCase().replace(/\.$/, ""))),
  });
  server.on("secureConnection", options.onSecure);
  server.on("tlsClientError", (error, socket) => {
    options.log.debug({ code: (error as NodeJS.ErrnoException).code }, "TLS handshake failed");
    socket.destroy();
  });
  return { adopt: (socket) => void server.emit("connection", socket) };
}
