// Which connections a worker takes: not more than it has descriptors for, not too many from one address, and where a PROXY
// header is wanted none without it. Whoever has waited longest for nothing makes room first; only then new clients are refused.

import type { Socket } from "node:net";
import type { ServerConfig } from "../config/server.ts";
import type { WorkerListener } from "../ipc/messages.ts";
import type { Logger } from "../log/logger.ts";
import { describeConnection } from "./accept.ts";
import type { BareConnection } from "./bare-acceptor.ts";
import type { Counters } from "./counters.ts";
import type { BareTransport } from "./http/bare-transport.ts";
import { discardRest } from "./http/linger.ts";
import { renderRefusal } from "./http/refusal.ts";
import { noSeat } from "./limits.ts";
import { addressKey } from "./networks.ts";
import { createProxyArrival, type ProxyArrival } from "./proxy-arrival.ts";
import { createReports } from "./reports.ts";

/** Of the descriptors a quarter, and a few more, stay for files, logs, programs and libraries. */
const CONNECTION_SHARE = 3 / 4;
const RESERVED_FILES = 64;
const LEAST_CONNECTIONS = 16;
/** Idle connections are closed in lots, because each time all connections are looked at. */
const SHED_SHARE = 1 / 16;
const LEAST_SHED = 8;
/** Where nobody was idle, nobody is looked for so long. */
const BARREN_MS = 100;
/** Clients that are told 503 at the same time; more are cut. */
const MAX_FAREWELLS = 64;
const FAREWELL_MS = 2_000;
const MS_PER_SEC = 1_000;
const NOTHING_READ = Buffer.alloc(0);

/** A connection at the door. */
type Caller = { destroy(): void };

export type AdmissionOptions = {
  readonly config: Pick<ServerConfig, "global" | "vhosts">;
  readonly counters: Counters;
  readonly log: Logger;
  /** Descriptors this process may have; undefined for no limit. */
  readonly openFiles: number | undefined;
  /** Closes up to so many kept connections, those idle longest first, and tells how many. */
  readonly shedIdle: (count: number) => number;
};

export type BarePass = (transport: BareTransport, connection: BareConnection) => void;

export type Admission = {
  /** Decides about each connection of a listener; those it takes are passed on, also later. */
  door(listener: WorkerListener, pass: (socket: Socket) => void): (socket: Socket) => void;
  /** The same for connections that are no sockets of Node; undefined where a PROXY header has to be read first. */
  bareDoor(listener: WorkerListener, pass: BarePass): BarePass | undefined;
  /** accept(2) failed for want of descriptors or memory. */
  makeRoom(): void;
};

/** The most connections a worker holds. */
export function connectionLimit(configured: number, openFiles: number | undefined): number {
  const possible =
    openFiles === undefined
      ? Infinity
      : Math.max(LEAST_CONNECTIONS, Math.floor(openFiles * CONNECTION_SHARE) - RESERVED_FILES);
  return Math.min(configured || Infinity, possible);
}

/** The doorkeeper of one worker. */
export function createAdmission(options: AdmissionOptions): Admission {
  const { counters, log, shedIdle } = options;
  const { global } = options.config;
  const { worker } = counters;
  const max = connectionLimit(global["max-connections"], options.openFiles);
  const perAddress = global["ip-limit-wsi"] || Infinity;
  const reports = createReports((message) => log.warn(message));
  const byAddress = new Map<string, number>();
  const noRoom = renderRefusal(noSeat(), { fields: [], names: new Set() }, global["server-string"]);
  let barrenUntil = -Infinity;
  let accepted = 0;
  /** The last lot that was told to close; how many had been accepted and were open then. */
  let lot = { shed: 0, accepted: 0, open: 0 };
  let farewells = 0;
  if (global["max-connections"] > max)
    log.warn(`The limit of open files allows ${max} connections, not max-connections`);

  function makeRoom(): void {
    const now = performance.now();
    if (closing() > 0 || now < barrenUntil) return;
    const open = counters.openConnections;
    const shed = shedIdle(Math.max(LEAST_SHED, Math.floor(open * SHED_SHARE)));
    if (shed === 0) barrenUntil = now + BARREN_MS;
    else {
      worker.connectionsShed += shed;
      lot = { shed, accepted, open };
      reports.say("shed", "Full: closed idle connections to make room");
    }
  }

  /** Connections that were told to close and are still counted among the open ones. */
  function closing(): number {
    const closedSince = lot.open + (accepted - lot.accepted) - counters.openConnections;
    return Math.max(0, lot.shed - closedSince);
  }

  /** Whether there is room for a connection that is counted already; makes some where it can. */
  function hasRoom(): boolean {
    if (counters.openConnections <= max) return true;
    makeRoom();
    return counters.openConnections - closing() <= max;
  }

  function refuse(caller: Caller, kind: "address" | "proxy", message: string): void {
    worker[kind === "address" ? "refusedAddress" : "refusedProxy"] += 1;
    reports.say(kind, message);
    caller.destroy();
  }

  /** In clear the client can be told. */
  function sayFull(socket: Socket, isSecure: boolean): void {
    worker.refusedFull += 1;
    reports.say("full", `Refused a connection: ${max} are open`);
    if (isSecure || farewells >= MAX_FAREWELLS) return void socket.destroy();
    farewells += 1;
    const timer = setTimeout(() => socket.destroy(), FAREWELL_MS);
    socket.on("error", () => {});
    socket.once("close", () => {
      farewells -= 1;
      clearTimeout(timer);
    });
    socket.write(noRoom.head, "latin1");
    socket.write(noRoom.page);
    discardRest(socket);
  }

  /** False when there are too many of its address; else it is counted until it closes. */
  function takePlace(
    remoteAddress: string,
    caller: Caller,
    onceClosed: (listener: () => void) => void,
  ): boolean {
    const key = addressKey(remoteAddress);
    const taken = byAddress.get(key) ?? 0;
    if (taken >= perAddress) {
      const message = `Refused a connection from ${remoteAddress}: ip-limit-wsi is ${perAddress}`;
      refuse(caller, "address", message);
      return false;
    }
    byAddress.set(key, taken + 1);
    onceClosed(() => {
      const left = (byAddress.get(key) ?? 1) - 1;
      if (left === 0) byAddress.delete(key);
      else byAddress.set(key, left);
    });
    return true;
  }

  function proxyArrivalOf(listener: WorkerListener): ProxyArrival | undefined {
    return createProxyArrival({
      listener,
      config: options.config,
      withinMs: global["timeout-secs"] * MS_PER_SEC,
      onRefused(socket, why) {
        const { remoteAddress } = describeConnection(socket, listener);
        const message = `Refused a connection from ${remoteAddress} on ${listener.address}: ${why}`;
        refuse(socket, "proxy", message);
      },
    });
  }

  return {
    makeRoom,
    door(listener, pass) {
      const arrival = proxyArrivalOf(listener);
      const enter = (socket: Socket): void => {
        const hasPlace =
          perAddress === Infinity ||
          takePlace(describeConnection(socket, listener).remoteAddress, socket, (left) =>
            socket.once("close", left),
          );
        if (hasPlace) pass(socket);
      };
      return (socket) => {
        accepted += 1;
        if (!hasRoom()) sayFull(socket, listener.secure);
        else if (arrival) arrival(socket, () => enter(socket));
        else enter(socket);
      };
    },
    bareDoor(listener, pass) {
      if (proxyArrivalOf(listener)) return undefined;
      return (transport, connection) => {
        accepted += 1;
        if (!hasRoom()) {
          const left = transport.leave(NOTHING_READ);
          if (left) sayFull(left.socket, listener.secure);
          return;
        }
        const hasPlace =
          perAddress === Infinity ||
          takePlace(connection.remoteAddress, transport, (left) => transport.onceClosed(left));
        if (hasPlace) pass(transport, connection);
      };
    },
  };
}
