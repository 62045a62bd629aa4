// The HTTP/1.1 front that connections come to first: the lane answers what is ready in memory, Node's parser everything else.
// A connection that is handed over stays there.

import { defaultRequestLimits } from "../limits.ts";
import type { BareTransport } from "./bare-transport.ts";
import { completeClocks } from "./clocks.ts";
import type { Connection } from "./connection.ts";
import { HttpError } from "./exchange.ts";
import { HostMemory } from "./host-memory.ts";
import { LaneConnection } from "./lane-connection.ts";
import type { LaneContext } from "./lane-context.ts";
import { LaneHead } from "./lane-head.ts";
import type { Front, FrontOptions } from "./front.ts";
import { createHttp1Front } from "./node-http1.ts";
import { prepareError, ReplyClock, type ReplyFrame } from "./prepared.ts";
import type { ConfiguredFields } from "./response-head.ts";
import { StreamTransport } from "./stream-transport.ts";
import { createWheel } from "./wheel.ts";

export type Lane = Front & {
  /** As adopt(), for a connection that is no socket of Node. */
  adoptBare(transport: BareTransport, connection: Connection): void;
};

/** Starts a lane with Node's parser behind it. */
export function createLane(options: FrontOptions): Lane {
  const { counters, router, serverString, limits = defaultRequestLimits } = options;
  const clocks = completeClocks(options.clocks);
  const slow = createHttp1Front(options);
  const wheel = createWheel<LaneConnection>(clocks.sweepMs);
  const frames = new WeakMap<ConfiguredFields, ReplyFrame>();
  /** The one that was asked for last: looking into the map costs more than the rest of it. */
  let latest: ReplyFrame | undefined;
  let isDraining = false;

  const context: LaneContext = {
    router,
    serverString,
    clocks,
    limits,
    counters,
    wheel,
    poller: options.poller,
    head: new LaneHead(limits),
    hosts: new HostMemory(),
    clock: new ReplyClock(),
    out: [],
    outcomes: [],
    isDraining: () => isDraining,
    notFound: prepareError(new HttpError(404, "")),
    frameOf(vhost, configured) {
      const keepAliveSecs = vhost.config.keepalive_timeout;
      if (latest?.configured === configured && latest.keepAliveSecs === keepAliveSecs)
        return latest;
      const known = frames.get(configured);
      latest =
        known?.keepAliveSecs === keepAliveSecs
          ? known
          : { configured, serverString, keepAliveSecs };
      frames.set(configured, latest);
      return latest;
    },
    handOver(transport, rest, connection, past) {
      // On the other way somebody may ask for it when the socket has closed.
      void connection.localAddress;
      const left = transport.leave(rest);
      if (!left) return;
      const countedRead = past.countedRead - left.readBefore;
      slow.adopt(left.socket, connection, { ...past, countedRead });
    },
  };

  return {
    get active() {
      return counters.activeRequests;
    },
    get open() {
      return wheel.size + slow.open;
    },
    adopt(socket, connection) {
      const transport = new StreamTransport(socket, connection.secure);
      transport.begin(new LaneConnection(context, transport, connection));
    },
    adoptBare(transport, connection) {
      transport.begin(new LaneConnection(context, transport, connection));
    },
    drain() {
      isDraining = true;
      slow.drain();
    },
    shedIdle(count) {
      const idle = wheel.items().filter((connection) => connection.idleSince !== undefined);
      const leaving = idle
        .toSorted((one, other) => (one.idleSince ?? 0) - (other.idleSince ?? 0))
        .slice(0, count);
      for (const connection of leaving) connection.destroy();
      return leaving.length < count
        ? leaving.length + slow.shedIdle(count - leaving.length)
        : leaving.length;
    },
    closeIdle() {
      for (const connection of wheel.items()) if (connection.isIdle) connection.destroy();
      slow.closeIdle();
    },
    stop() {
      for (const connection of wheel.items()) connection.destroy();
      wheel.stop();
      slow.stop();
    },
  };
}
