// TLS of one listener: the name in the ClientHello picks the vhost's own TLS server, because Node's SNICallback changes the
// certificate alone, not versions, groups, protocols or the question for a client's certificate.

import type { Socket } from "node:net";
import type { ServerConfig } from "../config/server.ts";
import type { WorkerListener } from "../ipc/messages.ts";
import type { TlsContext } from "../posix/openssl.ts";
import { localAddressOf, readOpening } from "./accept.ts";
import { createTlsServers, type TlsServers, type TlsServersOptions } from "./tls-servers.ts";
import { createNameTable, type NameTable } from "./vhost-names.ts";

export type TlsFront = Pick<TlsServers, "renew" | "renewTickets"> & {
  /** Reads the ClientHello of an accepted connection and begins the handshake. */
  adopt(socket: Socket): void;
  /** For a connection that came to this address of ours and asks for this name: undefined where it has to be adopted. */
  contextFor(localAddress: () => string, serverName: string | undefined): TlsContext | undefined;
};

/** A client that does not send its hello in handshakeMs is cut, and one that does not finish the handshake in as much again. */
export type TlsOptions = TlsServersOptions & {
  readonly listener: WorkerListener;
  /** The client speaks plain text; what it sent is on the socket. */
  readonly onText: (socket: Socket) => void;
};

/** Prepares TLS for the vhosts of a listener. */
export function createTlsFront(options: TlsOptions): TlsFront {
  const { listener, handshakeMs, onText, config } = options;
  const servers = createTlsServers(options);
  const everybody = tableOf(listener.vhosts, config);
  const byAddress = new Map(
    listener.overrides.map(({ address, vhosts }) => [address, tableOf(vhosts, config)]),
  );

  function choose(localAddress: () => string, serverName: string | undefined): number {
    const local = byAddress.size === 0 ? undefined : byAddress.get(localAddress());
    const table = local ?? everybody;
    return table.byName(hostOf(serverName)) ?? table.first;
  }

  return {
    adopt: (socket) =>
      readOpening(socket, handshakeMs, (opening) => {
        if (opening.kind === "text") return onText(socket);
        const server = servers.of(choose(() => localAddressOf(socket), opening.serverName));
        if (server) server.emit("connection", socket);
        else socket.destroy();
      }),
    contextFor: (localAddress, name) => servers.contextOf(choose(localAddress, name)),
    renew: (secrets) => servers.renew(secrets),
    renewTickets: (ticketSecret) => servers.renewTickets(ticketSecret),
  };
}

/** As vhosts are looked up. Names in TLS are ASCII (RFC 6066 3), so nothing is decoded; others find nobody. */
function hostOf(serverName = ""): string {
  const name = serverName.toLowerCase();
  return name.endsWith(".") ? name.slice(0, -1) : name;
}

/** Vhosts by their numbers. */
type Table = { readonly first: number; readonly byName: NameTable<number> };

function tableOf(vhosts: readonly number[], config: ServerConfig): Table {
  const named = vhosts.map((index) => [config.vhosts[index]?.name ?? "", index] as const);
  return { first: vhosts[0] ?? -1, byName: createNameTable(named) };
}
