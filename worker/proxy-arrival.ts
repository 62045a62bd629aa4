// A connection that has to begin with a PROXY header: the header is read off it, by a deadline, and what it says of the client
// stays with the socket, also below TLS.

import type { Socket } from "node:net";
import type { ServerConfig } from "../config/server.ts";
import type { WorkerListener } from "../ipc/messages.ts";
import { createNetworks, plainAddress, type Networks } from "./networks.ts";
import { createProxyReader, type Origin } from "./proxy-protocol.ts";

/** On the socket of the connection. */
const ORIGIN = Symbol("origin");
/** Undocumented: the socket below a TLSSocket. Nothing public leads to it; a test over TLS holds on to it. */
const BELOW = "_parent";
type Marked = Socket & { [ORIGIN]?: Origin; [BELOW]?: Socket | null };

/** The client that a proxy named, undefined where none did. Takes the TLS socket as well as the one below it. */
export function originOf(socket: Socket): Origin | undefined {
  return (socketBelow(socket) as Marked)[ORIGIN];
}

/** The TCP socket of a connection, whichever of its sockets is given. What the kernel has told it once it does not ask again. */
export function socketBelow(socket: Socket): Socket {
  return (socket as Marked)[BELOW] ?? socket;
}

export type ProxyArrivalOptions = {
  readonly listener: WorkerListener;
  readonly config: Pick<ServerConfig, "vhosts">;
  /** For the header to come. */
  readonly withinMs: number;
  readonly onRefused: (socket: Socket, why: string) => void;
};

/** Passes a connection on once its header has been read. */
export type ProxyArrival = (socket: Socket, pass: () => void) => void;

/** Undefined where no vhost of the listener wants a header. */
export function createProxyArrival(options: ProxyArrivalOptions): ProxyArrival | undefined {
  const { listener } = options;
  const everybody = proxiesOf(listener.vhosts, options);
  const byAddress = new Map(
    listener.overrides.map(({ address, vhosts }) => [address, proxiesOf(vhosts, options)]),
  );
  if (!everybody && [...byAddress.values()].every((proxies) => proxies === undefined))
    return undefined;
  return (socket, pass) => {
    const local = plainAddress(socket.localAddress);
    const proxies = byAddress.has(local) ? byAddress.get(local) : everybody;
    if (!proxies) pass();
    else if (proxies.has(plainAddress(socket.remoteAddress))) readHeader(socket, options, pass);
    else refuse(socket, options, "It comes from no proxy of proxy-protocol");
  };
}

/** The configuration has made sure that all of them agree. */
function proxiesOf(
  vhosts: readonly number[],
  { config }: ProxyArrivalOptions,
): Networks | undefined {
  const entries = config.vhosts[vhosts[0] ?? -1]?.["proxy-protocol"];
  return entries && createNetworks(entries);
}

function readHeader(socket: Socket, options: ProxyArrivalOptions, pass: () => void): void {
  const reader = createProxyReader();
  const timer = setTimeout(() => refuse(socket, options, "No PROXY header came"), options.withinMs);
  const stopWaiting = (): void => clearTimeout(timer);
  // A proxy that looks whether somebody listens connects and leaves: nothing to tell.
  const cut = (): void => void socket.destroy();
  const take = (chunk: Buffer): void => {
    const header = reader.push(chunk);
    if (!header) return;
    stopWaiting();
    socket.pause();
    socket.off("data", take).off("end", cut).off("close", stopWaiting);
    if (header.kind === "refused") return refuse(socket, options, header.why);
    socket.off("error", cut);
    if (header.origin) (socket as Marked)[ORIGIN] = header.origin;
    if (header.rest.length > 0) socket.unshift(header.rest);
    pass();
    // Paused by hand it would stay so, whoever listens now.
    socket.resume();
  };
  socket.on("data", take).on("end", cut).on("error", cut).on("close", stopWaiting);
}

function refuse(socket: Socket, options: ProxyArrivalOptions, why: string): void {
  options.onRefused(socket, why);
  socket.destroy();
}
