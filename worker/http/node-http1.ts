// HTTP/1.1 on Node's own parser, for connections accepted elsewhere. One http.Server that never listens drives all of them.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { defaultRequestLimits } from "../limits.ts";
import { completeClocks } from "./clocks.ts";
import { Http1Connection } from "./http1-connection.ts";
import type { Http1Context } from "./http1-context.ts";
import type { Front, FrontOptions } from "./front.ts";
import { http } from "./lean-http.ts";
import type { ParserError } from "./parser-fault.ts";

/** Starts a front. */
export function createHttp1Front(options: FrontOptions): Front {
  const { counters, limits = defaultRequestLimits } = options;
  const clocks = completeClocks(options.clocks);
  const connections = new Set<Http1Connection>();
  const bySocket = new WeakMap<Duplex, Http1Connection>();
  let isDraining = false;
  const context: Http1Context = {
    ...options,
    clocks,
    limits,
    isDraining: () => isDraining,
    onGone(socket) {
      const connection = bySocket.get(socket);
      if (connection) connections.delete(connection);
      bySocket.delete(socket);
    },
    hooks: {
      onClose() {
        bySocket.get(this)?.onClose();
      },
      onEnd() {
        bySocket.get(this)?.onEnd();
      },
      onResume() {
        bySocket.get(this)?.hold();
      },
      destroySoon() {
        const connection = bySocket.get(this);
        if (connection) connection.linger();
        else Object.getPrototypeOf(this).destroySoon.call(this);
      },
    },
  };

  const server = http.createServer({
    insecureHTTPParser: false,
    // The head is checked here, and more strictly.
    requireHostHeader: false,
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: clocks.headerMs,
    // An upload may take as long as it makes progress, which the connections watch.
    requestTimeout: 0,
    connectionsCheckingInterval: clocks.sweepMs,
    // Idle time is counted per vhost, by the connections themselves.
    keepAliveTimeout: 0,
    shouldUpgradeCallback: (request) =>
      isWebSocketUpgrade(request) && (bySocket.get(request.socket)?.mayUpgrade ?? false),
  });
  // One more than is allowed, so that too many can be told from just enough: Node drops the rest silently.
  server.maxHeadersCount = limits.maxHeaderFields + 1;
  server.timeout = 0;
  // Undocumented: without it a client that closes its sending side gets no answer.
  Object.assign(server, { httpAllowHalfOpen: true });

  const receive = (request: IncomingMessage, response: ServerResponse): void =>
    bySocket.get(request.socket)?.receive(request, response);
  server.on("request", receive);
  server.on("checkContinue", receive);
  server.on("checkExpectation", receive);
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
    bySocket.get(request.socket)?.upgrade(request, socket, head),
  );
  server.on("connect", (request: IncomingMessage) =>
    bySocket.get(request.socket)?.refuseTunnel(request),
  );
  server.on("clientError", (error: ParserError, socket: Duplex) =>
    bySocket.get(socket)?.onFault(error),
  );
  // Without a listener Node would destroy the socket.
  server.on("timeout", (socket: Socket) => bySocket.get(socket)?.onStall());
  // Starts the clock for heads, which a server that never listens would not have.
  server.emit("listening");

  const sweep = setInterval(() => {
    const now = performance.now();
    for (const connection of connections) connection.sweep(now);
  }, clocks.sweepMs);
  sweep.unref();

  return {
    get active() {
      return counters.activeRequests;
    },
    get open() {
      return connections.size;
    },
    adopt(socket, connection, past) {
      const adopted = new Http1Connection(context, socket, connection, past);
      connections.add(adopted);
      bySocket.set(socket, adopted);
      server.emit("connection", socket);
      adopted.attach();
    },
    drain() {
      isDraining = true;
    },
    shedIdle(count) {
      const idle = [...connections].flatMap((connection) => {
        const since = connection.idleSince;
        return since === undefined ? [] : [{ connection, since }];
      });
      const leaving = idle.toSorted((one, other) => one.since - other.since).slice(0, count);
      for (const { connection } of leaving) connection.destroy();
      return leaving.length;
    },
    closeIdle() {
      for (const connection of connections) if (connection.isIdle) connection.destroy();
    },
    stop() {
      clearInterval(sweep);
      server.close();
      for (const connection of connections) connection.destroy();
    },
  };
}

/** The parser has seen "Connection: upgrade" already. Other upgrades are ignored, as RFC 9110 7.8 allows. */
function isWebSocketUpgrade(request: IncomingMessage): boolean {
  const { headers } = request;
  return (
    request.method === "GET" &&
    request.httpVersion === "1.1" &&
    headers.upgrade?.toLowerCase() === "websocket" &&
    // Bytes of a body would be taken for frames.
    headers["transfer-encoding"] === undefined &&
    Number(headers["content-length"] ?? 0) === 0
  );
}
