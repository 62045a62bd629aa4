// HTTP/2 for connections accepted elsewhere, after ALPN settled on it (RFC 9113 3.2).

import { completeClocks } from "../http/clocks.ts";
import { defaultRequestLimits } from "../limits.ts";
import type { Connection } from "../http/connection.ts";
import type { Front, FrontOptions } from "../http/front.ts";
import { StreamTransport } from "../http/stream-transport.ts";
import type { Transport } from "../http/transport.ts";
import { Http2Connection } from "./connection.ts";
import type { Http2Context } from "./context.ts";
import { Flood, type FloodKind } from "./frame.ts";
import { createFieldEncoder } from "./hpack-encoder.ts";
import { limitsFor, type Http2Limits } from "./limits.ts";
import { createChunkPool } from "./chunk-pool.ts";
import { PreparedBlocks } from "./prepared-blocks.ts";

/** Faults come as fast as clients can connect: one line tells of so many. */
const COMPLAINT_MS = 1_000;

const FLOOD_COUNTERS = {
  cancels: "http2Cancels",
  chatter: "http2Chatter",
  fields: "http2Fields",
  pieces: "http2Pieces",
  pings: "http2Pings",
  settings: "http2Settings",
  streamFaults: "http2StreamFaults",
} as const satisfies Record<FloodKind, string>;

/** The same as for HTTP/1.1, and limits that only HTTP/2 needs. */
export type Http2FrontOptions = FrontOptions & { readonly http2Limits?: Partial<Http2Limits> };

export type Http2Front = Front & {
  /** As adopt(), for a connection that is no socket of Node. */
  adoptBare(transport: Transport, connection: Connection): void;
};

/** Starts a front. */
export function createHttp2Front(options: Http2FrontOptions): Http2Front {
  const { counters, log, limits: requestLimits = defaultRequestLimits } = options;
  const clocks = completeClocks(options.clocks);
  const connections = new Set<Http2Connection>();
  let isDraining = false;
  let complainedAt = -COMPLAINT_MS;
  let untold = 0;
  const encoder = createFieldEncoder();
  const context: Http2Context = {
    ...options,
    clocks,
    limits: { ...limitsFor(requestLimits), ...options.http2Limits },
    requestLimits,
    encoder,
    blocks: new PreparedBlocks(encoder, options.serverString),
    pool: createChunkPool(),
    onFault({ remoteAddress }, fault) {
      counters.worker.http2Faults += 1;
      if (fault instanceof Flood) counters.worker[FLOOD_COUNTERS[fault.kind]] += 1;
      untold += 1;
      if (performance.now() - complainedAt < COMPLAINT_MS) return;
      complainedAt = performance.now();
      const about = { remoteAddress, code: fault.code, count: untold };
      log.info(about, `HTTP/2 connection ended: ${fault.message}`);
      untold = 0;
    },
  };
  const onGone = (gone: Http2Connection): void => {
    if (connections.delete(gone)) counters.openHttp2 -= 1;
  };
  const sweep = setInterval(() => {
    const now = performance.now();
    for (const connection of connections) connection.sweep(now);
  }, clocks.sweepMs);
  sweep.unref();

  function adoptBare(transport: Transport, connection: Connection): void {
    // A stream may ask for it when the connection has closed.
    void connection.localAddress;
    const adopted = new Http2Connection(context, transport, connection, onGone);
    connections.add(adopted);
    counters.worker.http2Connections += 1;
    counters.openHttp2 += 1;
    adopted.attach();
    if (isDraining) adopted.leave();
  }

  return {
    get active() {
      return counters.activeRequests;
    },
    get open() {
      return connections.size;
    },
    adopt(socket, connection) {
      adoptBare(new StreamTransport(socket, connection.secure), connection);
    },
    adoptBare,
    drain() {
      isDraining = true;
      for (const connection of connections) connection.leave();
    },
    shedIdle(count) {
      const idle = [...connections].filter((connection) => connection.isIdle);
      const leaving = idle.toSorted((one, other) => one.since - other.since).slice(0, count);
      for (const connection of leaving) connection.destroy();
      return leaving.length;
    },
    closeIdle() {
      for (const connection of connections) if (connection.isIdle) connection.close();
    },
    stop() {
      clearInterval(sweep);
      for (const connection of connections) connection.destroy();
    },
  };
}
