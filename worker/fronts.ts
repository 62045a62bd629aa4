// The fronts of a worker as one: a connection goes to HTTP/2 where ALPN settled on it, else to HTTP/1.1.

import type { Socket } from "node:net";
import { createLane, type Lane } from "./http/lane.ts";
import type { Front, FrontOptions } from "./http/front.ts";
import { createHttp2Front } from "./http2/front.ts";

/** As TLS names it (RFC 9113 3.2). */
const HTTP2 = "h2";

export type Fronts = Front & Pick<Lane, "adoptBare">;

/** Starts all fronts. */
export function createFronts(options: FrontOptions): Fronts {
  const http1 = createLane(options);
  const http2 = createHttp2Front(options);
  return {
    get active() {
      return options.counters.activeRequests;
    },
    get open() {
      return http1.open + http2.open;
    },
    adopt(socket, connection) {
      if (settledOn(socket) === HTTP2) http2.adopt(socket, connection);
      else http1.adopt(socket, connection);
    },
    adoptBare(transport, connection) {
      if (transport.protocol === HTTP2) http2.adoptBare(transport, connection);
      else http1.adoptBare(transport, connection);
      // What came with the end of the handshake.
      transport.readOn();
    },
    drain() {
      http1.drain();
      http2.drain();
    },
    shedIdle(count) {
      const shed = http1.shedIdle(count);
      return shed + (shed < count ? http2.shedIdle(count - shed) : 0);
    },
    closeIdle() {
      http1.closeIdle();
      http2.closeIdle();
    },
    stop() {
      http1.stop();
      http2.stop();
    },
  };
}

/** Only a TLS socket has settled on anything. */
function settledOn(socket: Socket): unknown {
  return "alpnProtocol" in socket ? socket.alpnProtocol : undefined;
}
