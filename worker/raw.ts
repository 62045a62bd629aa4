// Connections that are not HTTP, for a protocol that takes them: all of a listener, or those whose first bytes are no request
// of HTTP. What the first vhost of the listener says holds for the whole of it.

import type { Socket } from "node:net";
import type { Logger } from "../log/logger.ts";
import { admit } from "./access/guard.ts";
import type { Counters } from "./counters.ts";
import type { Connection } from "./http/connection.ts";
import { HttpError } from "./http/exchange.ts";
import type { RawConnection } from "./protocol.ts";
import type { SiteVhost } from "./site-vhost.ts";

/** Longer than any method that is served here, and its space. */
const MAX_METHOD_BYTES = 8;
const METHODS = [
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
  "TRACE",
  "CONNECT",
  "PRI",
];

export type RawTable = {
  /** Connections open now. */
  readonly open: number;
  /** Gives a connection to the vhost's protocol. */
  adopt(socket: Socket, connection: Connection, vhost: SiteVhost): void;
  /** Cuts those of a vhost, or all. */
  closeAll(vhost?: SiteVhost["config"]): void;
};

/** Which connections of a vhost's listener are raw: "all", those that are not HTTP, or none. */
export function rawMode({ config }: Pick<SiteVhost, "config">): "all" | "fallback" | undefined {
  if (config["listen-accept-protocol"] === undefined) return undefined;
  if (config["apply-listen-accept"]) return "all";
  return config["fallback-listen-accept"] ? "fallback" : undefined;
}

/** Whether the first bytes begin a request of HTTP; undefined while that is open. */
export function beginsHttp(bytes: Buffer): boolean | undefined {
  // Empty lines before a request are passed over (RFC 9112 2.2).
  let start = 0;
  while (bytes[start] === 0x0d || bytes[start] === 0x0a) start += 1;
  const text = bytes.toString("latin1", start, start + MAX_METHOD_BYTES);
  if (METHODS.some((method) => text.startsWith(`${method} `))) return true;
  return METHODS.some((method) => `${method} `.startsWith(text)) ? undefined : false;
}

/** Reads until it is clear whether a client speaks HTTP, puts the bytes back and tells. One that stalls or goes before that is cut. */
export function sniffHttp(socket: Socket, withinMs: number, done: (isHttp: boolean) => void): void {
  const chunks: Buffer[] = [];
  const cut = (): void => void socket.destroy();
  const timer = setTimeout(cut, withinMs);
  const stopWaiting = (): void => clearTimeout(timer);
  const take = (chunk: Buffer): void => {
    chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    const isHttp = bytes.length > MAX_SNIFFED_BYTES ? true : beginsHttp(bytes);
    if (isHttp === undefined) return;
    stopWaiting();
    socket.pause();
    socket.off("data", take).off("end", cut).off("error", cut).off("close", stopWaiting);
    socket.unshift(bytes);
    done(isHttp);
  };
  socket.on("data", take).on("end", cut).on("error", cut).on("close", stopWaiting);
  // Whoever looked at its first bytes before has paused it.
  socket.resume();
}

/** Nothing but empty lines: the parser has its limits for that. */
const MAX_SNIFFED_BYTES = 64;

/** The raw connections of one worker. */
export function createRawTable(worker: number, counters: Counters, log: Logger): RawTable {
  const sockets = new Map<Socket, SiteVhost["config"]>();
  let lastId = 0;

  /** Bytes count for the vhost like those of requests. */
  function meter(socket: Socket, vhost: SiteVhost): void {
    vhost.counters.connections += 1;
    counters.worker.rawConnections += 1;
    counters.openRaw += 1;
    socket.once("close", () => {
      vhost.counters.rx += socket.bytesRead;
      vhost.counters.tx += socket.bytesWritten;
      counters.openRaw -= 1;
      sockets.delete(socket);
    });
  }

  return {
    get open() {
      return sockets.size;
    },
    adopt(socket, connection, vhost) {
      const name = vhost.config["listen-accept-protocol"] ?? "";
      const instance = vhost.protocols.get(name)?.instance;
      const { remoteAddress } = connection;
      const about = { protocol: name, address: remoteAddress };
      meter(socket, vhost);
      socket.on("error", (error) => log.debug({ err: error, ...about }, "Raw connection"));
      // Rules about addresses hold here too; a password cannot be asked for, so what wants one stays closed.
      const verdict = admit(vhost.guard, { remoteAddress, header: () => undefined });
      if (
        !instance?.raw ||
        vhost.refusal ||
        verdict instanceof HttpError ||
        verdict instanceof Promise
      ) {
        vhost.counters.rejected += 1;
        counters.worker.rejectedUnsupported += 1;
        log.debug(about, "Raw connection refused");
        socket.destroy();
        return;
      }
      sockets.set(socket, vhost.config);
      lastId += 1;
      const raw: RawConnection = {
        id: `${worker}-raw-${lastId}`,
        address: remoteAddress,
        secure: connection.secure,
        stream: socket,
      };
      try {
        const outcome: unknown = instance.raw(raw);
        // It was paused when it was clear what it is.
        if (socket.listenerCount("data") > 0) socket.resume();
        if (outcome instanceof Promise) outcome.catch((error: unknown) => fail(error));
      } catch (error) {
        fail(error);
      }

      function fail(error: unknown): void {
        log.error({ err: error, ...about }, "Protocol plugin failed");
        socket.destroy();
      }
    },
    closeAll(vhost) {
      for (const [socket, of] of sockets) if (!vhost || of === vhost) socket.destroy();
    },
  };
}
