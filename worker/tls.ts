// TLS of one listener: the name in the ClientHello picks the vhost's own TLS server, because Node's SNICallback changes the
// certificate alone, not versions, groups or protocols. Tickets resume on every worker: all share the keys, and vhosts
// with equal settings the session id context.

import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import tls from "node:tls";
import type { ServerConfig } from "../config/server.ts";
import { tlsSettings, type TlsSettings } from "../config/tls-settings.ts";
import type { VhostSecrets, WorkerListener } from "../ipc/messages.ts";
import type { Logger } from "../log/logger.ts";
import { describeConnection } from "./accept.ts";
import { createOpeningReader, type Opening } from "./client-hello.ts";
import { createNameTable, type NameTable } from "./vhost-names.ts";

/** Of a session id context; OpenSSL takes 32 bytes. */
const CONTEXT_CHARACTERS = 32;

export type TlsFront = {
  /** Reads the ClientHello of an accepted connection and begins the handshake. */
  adopt(socket: Socket): void;
};

export type TlsOptions = {
  readonly listener: WorkerListener;
  readonly config: ServerConfig;
  readonly secrets: readonly VhostSecrets[];
  readonly ticketKeys: Uint8Array;
  readonly log: Logger;
  /** A client that does not send its hello in this time is cut, and one that does not finish the handshake in as much again. */
  readonly handshakeMs: number;
  /** The handshake is done. */
  readonly onSecure: (socket: tls.TLSSocket) => void;
  /** The client speaks plain text; what it sent is on the socket. */
  readonly onText: (socket: Socket) => void;
  readonly refuse: (vhost: number, key: string, message: string) => void;
};

/** Prepares a TLS server for each certificate and settings of the listener; what does not work is refused. */
export function createTlsFront(options: TlsOptions): TlsFront | undefined {
  const { listener, handshakeMs, onText } = options;
  const serverOf = createServers(options);
  const everybody = tableOf(listener.vhosts, serverOf, options.config);
  const byAddress = new Map(
    listener.overrides.map(({ address, vhosts }) => [
      address,
      tableOf(vhosts, serverOf, options.config),
    ]),
  );

  function choose(socket: Socket, serverName: string | undefined): tls.Server | undefined {
    const table = byAddress.get(describeConnection(socket, listener).localAddress) ?? everybody;
    return table?.byName(hostOf(serverName)) ?? table?.first;
  }

  if (!everybody) return undefined;
  return {
    adopt: (socket) =>
      readOpening(socket, handshakeMs, (opening) => {
        if (opening.kind === "text") onText(socket);
        else choose(socket, opening.serverName)?.emit("connection", socket);
      }),
  };
}

/** As vhosts are looked up. Names in TLS are ASCII (RFC 6066 3), so nothing is decoded; others find nobody. */
function hostOf(serverName = ""): string {
  return serverName.toLowerCase().replace(/\.$/, "");
}

/** Reads until it is clear who connects, puts the bytes back and tells. A client that goes or stalls before that is cut. */
function readOpening(socket: Socket, withinMs: number, done: (opening: Opening) => void): void {
  const reader = createOpeningReader();
  const chunks: Buffer[] = [];
  const cut = (): void => void socket.destroy();
  const timer = setTimeout(cut, withinMs);
  const stopWaiting = (): void => clearTimeout(timer);
  const take = (chunk: Buffer): void => {
    chunks.push(chunk);
    const opening = reader.push(chunk);
    if (!opening) return;
    stopWaiting();
    socket.pause();
    socket.off("data", take).off("end", cut).off("error", cut).off("close", stopWaiting);
    socket.unshift(Buffer.concat(chunks));
    done(opening);
  };
  socket.on("data", take).on("end", cut).on("error", cut).on("close", stopWaiting);
}

type Table = { readonly first: tls.Server; readonly byName: NameTable<tls.Server> };

/** Undefined when the first vhost has no server, which was refused. */
function tableOf(
  vhosts: readonly number[],
  serverOf: (vhost: number) => tls.Server | undefined,
  config: ServerConfig,
): Table | undefined {
  const servers = vhosts.flatMap((index): [name: string, server: tls.Server][] => {
    const server = serverOf(index);
    const name = config.vhosts[index]?.name;
    return server && name !== undefined ? [[name, server]] : [];
  });
  const [first] = servers;
  return first && { first: first[1], byName: createNameTable(servers) };
}

/** The servers by vhost; vhosts with equal certificates and settings share one. */
function createServers(options: TlsOptions): (vhost: number) => tls.Server | undefined {
  const secrets = new Map(options.secrets.map((secret) => [secret.vhost, secret]));
  const servers = new Map<string, tls.Server | undefined>();
  return (index) => {
    const secret = secrets.get(index);
    const vhost = options.config.vhosts[index];
    if (!secret || !vhost) return undefined;
    const settings = tlsSettings(vhost, options.config.global);
    const identity = digest(secret.cert, secret.key, secret.ca ?? "", JSON.stringify(settings));
    if (!servers.has(identity))
      servers.set(
        identity,
        createServer(secret, settings, options, (message) =>
          options.refuse(index, "host-ssl-cert", message),
        ),
      );
    return servers.get(identity);
  };
}

function createServer(
  secret: VhostSecrets,
  settings: TlsSettings,
  options: TlsOptions,
  refuse: (message: string) => void,
): tls.Server | undefined {
  try {
    const server = tls.createServer({
      ...settings,
      ALPNProtocols: [...settings.ALPNProtocols],
      cert: Buffer.from(secret.cert),
      key: Buffer.from(secret.key),
      ...(secret.ca && { ca: Buffer.from(secret.ca) }),
      // Clients know whether they have AES in hardware (Mozilla's recommendation); SSL_OP_CIPHER_SERVER_PREFERENCE turns it round.
      honorCipherOrder: false,
      ticketKeys: Buffer.from(options.ticketKeys),
      sessionIdContext: digest(JSON.stringify(settings)).slice(0, CONTEXT_CHARACTERS),
      handshakeTimeout: options.handshakeMs,
    });
    server.on("secureConnection", options.onSecure);
    server.on("tlsClientError", (error: NodeJS.ErrnoException, socket) => {
      options.log.debug({ code: error.code }, "TLS handshake failed");
      socket.destroy();
    });
    return server;
  } catch (error) {
    refuse(`TLS cannot be set up with it: ${(error as Error).message}`);
    return undefined;
  }
}

function digest(...parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash("sha256");
  // Each with its length, so that no two lists come to one text.
  for (const part of parts) hash.update(`${part.length} `).update(part);
  return hash.digest("hex");
}
