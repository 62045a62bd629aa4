// The HTTP/1.1 front that connections come to first: the lane answers what is ready in memory, Node's parser everything else.
// A connection that is handed over stays there.

import type { Socket } from "node:net";
import { defaultRequestLimits } from "../limits.ts";
import { completeClocks } from "./clocks.ts";
import { HttpError } from "./exchange.ts";
import { HostMemory } from "./host-memory.ts";
import { LaneConnection } from "./lane-connection.ts";
import type { LaneContext } from "./lane-context.ts";
import { LaneHead } from "./lane-head.ts";
import type { Front, FrontOptions } from "./front.ts";
import { createHttp1Front } from "./node-http1.ts";
import { prepareError, ReplyClock, type ReplyFrame } from "./prepared.ts";
import type { ConfiguredFields } from "./response-head.ts";
import { createWheel } from "./wheel.ts";

/** On the socket itself, so that all connections share their listeners. */
const LANE = Symbol("lane");
type LaneSocket = Socket & { [LANE]?: LaneConnection | undefined };

/** Starts a lane with Node's parser behind it. */
export function createLane(options: FrontOptions): Front {
  const { counters, router, serverString, limits = defaultRequestLimits } = options;
  const clocks = completeClocks(options.clocks);
  const slow = createHttp1Front(options);
  const wheel = createWheel<LaneConnection>(clocks.sweepMs);
  const frames = new WeakMap<ConfiguredFields, ReplyFrame>();
  let isDraining = false;

  const context: LaneContext = {
    router,
    serverString,
    clocks,
    limits,
    counters,
    wheel,
    head: new LaneHead(limits),
    hosts: new HostMemory(),
    clock: new ReplyClock(),
    out: [],
    outcomes: [],
    isDraining: () => isDraining,
    notFound: prepareError(new HttpError(404, "")),
    frameOf(vhost, configured) {
      const keepAliveSecs = vhost.config.keepalive_timeout;
      const known = frames.get(configured);
      if (known?.keepAliveSecs === keepAliveSecs) return known;
      const frame = { configured, serverString, keepAliveSecs };
      frames.set(configured, frame);
      return frame;
    },
    handOver(socket, rest, connection, past) {
      detach(socket);
      if (socket.destroyed) return;
      // On the other way somebody may ask for it when the socket has closed.
      void connection.localAddress;
      if (rest.length > 0) socket.unshift(rest);
      // Node's parser listens, which wakes no socket that was told to pause.
      if (socket.isPaused()) socket.resume();
      slow.adopt(socket, connection, past);
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
      const lane: LaneSocket = socket;
      lane[LANE] = new LaneConnection(context, socket, connection);
      socket.on("error", ignore);
      socket.on("data", onData);
      socket.on("end", onEnd);
      socket.on("close", onClose);
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

function detach(socket: LaneSocket): void {
  socket[LANE] = undefined;
  socket.off("error", ignore);
  socket.off("data", onData);
  socket.off("end", onEnd);
  socket.off("close", onClose);
}

function onData(this: LaneSocket, chunk: Buffer): void {
  this[LANE]?.receive(chunk);
}

function onEnd(this: LaneSocket): void {
  this[LANE]?.receiveEnd();
}

function onClose(this: LaneSocket): void {
  this[LANE]?.onClose();
}

function ignore(): void {}
