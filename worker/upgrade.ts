// An HTTP upgrade becomes a peer of the WebSocket protocol it asks for, or a refusal with a status.
// The only importer of ws. Whatever ws would answer by itself is decided here first.

import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer, type RawData, type Server, type ServerOptions } from "ws";
import type { VhostConfig } from "../config/vhost.ts";
import type { Logger } from "../log/logger.ts";
import { admit, type Verdict } from "./access/guard.ts";
import { guardOfUpgrade } from "./access/upgrade-guard.ts";
import type { Counters } from "./counters.ts";
import { HttpError } from "./http/exchange.ts";
import type { UpgradeRequest } from "./http/upgrade-request.ts";
import { chooseProtocol, refusalOf, refusalOfOrigin, type Refusal } from "./opening-handshake.ts";
import {
  WebSocketPeer,
  type ByteMeter,
  type Patience,
  type PeerHome,
  type PeerStream,
  type QueueBudget,
} from "./peer.ts";
import type { ProtocolHost } from "./protocol-host.ts";
import { createTextFrames } from "./text-frames.ts";

/** Frames one message may come in (CVE-2026-48779: each fragment is pinned until the last). */
const MAX_FRAGMENTS = 1024;
/** Pieces the network may cut one unfinished frame into; 1 MiB in segments of 64 bytes, and some more. */
const MAX_BUFFERED_CHUNKS = 17 * 1024;
/** Wait for the other half of a closing handshake. */
const CLOSE_MS = 5_000;
/** lwsws's policy: a ping after 40 s of silence, the end at 50 s. */
const IDLE_MS = 40_000;
const ANSWER_MS = 10_000;
/** One timer looks after all peers this often, or four times in the shorter of its waits. */
const SWEEP_MS = 1_000;
/** Step in which closeAll spreads its work, ms. */
const SPREAD_STEP_MS = 50;

/** What may wait for slow peers of one worker, all together. */
const MAX_QUEUED_BYTES = 256 * 1024 * 1024;
/** Messages below this are not worth compressing. */
const DEFLATE_THRESHOLD_BYTES = 1024;
/** Messages in zlib's hands at a time; each takes some 100 KiB at these settings. */
const DEFLATE_CONCURRENCY = 10;
const DEFLATE_MEMORY_LEVEL = 5;

/** What is needed of a request to leave HTTP. */
export type Upgrade = Pick<
  UpgradeRequest,
  "request" | "socket" | "head" | "path" | "target" | "user" | "reject" | "accepted"
> & {
  readonly connection: Pick<UpgradeRequest["connection"], "remoteAddress" | "tls">;
  readonly vhost: Pick<
    UpgradeRequest["vhost"],
    "config" | "protocols" | "counters" | "match" | "guard" | "gates"
  >;
};

export type UpgraderOptions = {
  readonly worker: number;
  readonly counters: Counters;
  readonly log: Logger;
  /** Silence before a ping; default 40 s, 0 never pings. */
  readonly idleMs?: number;
  /** Time to answer it; default 10 s. */
  readonly answerMs?: number;
  /** Time for the other half of a closing handshake; default 5 s. */
  readonly closeMs?: number;
};

export interface Upgrader {
  /** WebSockets open now. */
  readonly open: number;
  handle(upgrade: Upgrade): void;
  /** Closes every WebSocket, evenly over `spreadMs`, and takes no more; with `vhost` only that one's. */
  closeAll(code: number, reason: string, spreadMs: number, vhost?: VhostConfig): void;
  /** Cuts what is left and ends all timers. */
  stop(): void;
}

/** What all connections of one protocol on one vhost share. */
type Endpoint = {
  readonly server: Server<typeof PeerSocket>;
  readonly home: PeerHome;
};

/** Knows its peer, so that all of them can share their listeners. */
class PeerSocket extends WebSocket {
  peer: WebSocketPeer | undefined;
}

/** Makes peers of upgrades and looks after them. */
export function createUpgrader(options: UpgraderOptions): Upgrader {
  const patience: Patience = {
    idleMs: options.idleMs === 0 ? Infinity : (options.idleMs ?? IDLE_MS),
    answerMs: options.answerMs ?? ANSWER_MS,
  };
  const peers = new Map<WebSocketPeer, VhostConfig>();
  const endpoints = new WeakMap<ProtocolHost, Endpoint>();
  const toFrame = createTextFrames();
  const budget: QueueBudget = { bytes: 0, maxBytes: MAX_QUEUED_BYTES };
  const closedVhosts = new WeakSet<VhostConfig>();
  const spreading = new Set<NodeJS.Timeout>();
  let isClosed = false;
  let lastNumber = 0;

  const sweep = setInterval(
    () => {
      const now = performance.now();
      for (const peer of peers.keys()) peer.watch(now, patience);
    },
    Math.min(SWEEP_MS, patience.idleMs / 4, patience.answerMs / 4),
  );
  sweep.unref();

  function welcome(
    upgrade: Upgrade,
    endpoint: Endpoint,
    socket: PeerSocket,
    counted: ByteMeter,
  ): void {
    const { vhost, request } = upgrade;
    lastNumber += 1;
    const peer = new WebSocketPeer({
      number: lastNumber,
      address: upgrade.connection.remoteAddress,
      userAgent: request.headers["user-agent"] ?? "",
      target: upgrade.target,
      client: upgrade.connection.tls?.client,
      user: upgrade.user,
      frames: socket,
      stream: streamOf(upgrade.socket),
      counted,
      home: endpoint.home,
    });
    upgrade.accepted();
    peers.set(peer, vhost.config);
    options.counters.openWebSockets += 1;
    socket.peer = peer;
    socket.on("message", onMessage).on("ping", onPing).on("error", onError).on("close", onClose);
    peer.begin();
  }

  function onError(this: WebSocket, error: Error): void {
    options.log.debug({ err: error, peer: peerOf(this).id }, "WebSocket");
  }

  function onClose(this: WebSocket, code: number, reason: Buffer): void {
    const peer = peerOf(this);
    peers.delete(peer);
    options.counters.openWebSockets -= 1;
    peer.end(code, reason.toString());
  }

  function endpointOf(host: ProtocolHost, vhost: Upgrade["vhost"]): Endpoint {
    const known = endpoints.get(host);
    if (known) return known;
    const home: PeerHome = {
      worker: options.worker,
      counters: vhost.counters,
      host,
      budget,
      toFrame: host.isCompressed ? undefined : toFrame,
      dropped: options.counters.worker,
      log: options.log.child({ vhost: vhost.config.name, protocol: host.definition.name }),
    };
    const endpoint = { home, server: createServer(host, options.closeMs ?? CLOSE_MS) };
    endpoints.set(host, endpoint);
    return endpoint;
  }

  /** The guard has spoken. */
  function conclude(upgrade: Upgrade, chosen: ProtocolHost | Refusal, verdict: Verdict): void {
    if (verdict instanceof HttpError)
      return upgrade.reject(verdict.status, verdict.message, verdict.headers);
    upgrade.user = verdict.user;
    if ("status" in chosen) return upgrade.reject(chosen.status, chosen.message);
    const { request, socket, head, vhost } = upgrade;
    // Once more, because a password may have taken its time.
    if (isClosed || closedVhosts.has(vhost.config)) return refuseLate(upgrade);
    const meter = streamOf(socket);
    const counted = {
      bytesRead: meter.bytesRead - head.length,
      bytesWritten: meter.bytesWritten,
    };
    const endpoint = endpointOf(chosen, vhost);
    endpoint.server.handleUpgrade(request, socket, head, (opened) =>
      welcome(upgrade, endpoint, opened, counted),
    );
  }

  return {
    get open() {
      return peers.size;
    },
    handle(upgrade) {
      const { request, vhost } = upgrade;
      const flaw = refusalOf(request);
      if (flaw) return upgrade.reject(flaw.status, flaw.message, flaw.headers);
      if (isClosed || closedVhosts.has(vhost.config)) return refuseLate(upgrade);
      const chosen = chooseProtocol(request, vhost.protocols);
      const host = "status" in chosen ? undefined : chosen;
      const foreign = refusalOfOrigin(request, host);
      if (foreign) return upgrade.reject(foreign.status, foreign.message);
      const guard = guardOfUpgrade(vhost, upgrade.path, host?.definition.name);
      const verdict = admit(guard, {
        remoteAddress: upgrade.connection.remoteAddress,
        header: (name) => headerOf(request, name),
      });
      if (verdict instanceof Promise)
        verdict
          .then((decided) => conclude(upgrade, chosen, decided))
          .catch((error: unknown) => {
            // The threads end with the server.
            if (!isClosed) options.log.error({ err: error }, "A password could not be checked");
            upgrade.reject(500, "");
          });
      else conclude(upgrade, chosen, verdict);
    },
    closeAll(code, reason, spreadMs, vhost) {
      if (vhost) closedVhosts.add(vhost);
      else isClosed = true;
      const leaving: WebSocketPeer[] = [];
      for (const [peer, of] of peers) if (!vhost || of === vhost) leaving.push(peer);
      spread(leaving, spreadMs, spreading, (peer) => peer.close(code, reason));
    },
    stop() {
      isClosed = true;
      clearInterval(sweep);
      for (const timer of spreading) clearInterval(timer);
      spreading.clear();
      for (const peer of peers.keys()) peer.cut("The server stops");
    },
  };
}

function refuseLate(upgrade: Upgrade): void {
  upgrade.reject(503, "No new WebSockets, the server is ending");
}

/** As Exchange.header, for what a guard may look at. */
function headerOf({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

function onMessage(this: WebSocket, message: RawData, isBinary: boolean): void {
  if (Buffer.isBuffer(message)) peerOf(this).receive(message, isBinary); // always, at ws's default binaryType
}

function onPing(this: WebSocket, data: Buffer): void {
  peerOf(this).answerPing(data);
}

function peerOf(socket: WebSocket): WebSocketPeer {
  assert(socket instanceof PeerSocket && socket.peer);
  return socket.peer;
}

function createServer(host: ProtocolHost, closeMs: number): Endpoint["server"] {
  const { name } = host.definition;
  const settings: ServerOptions<typeof PeerSocket> & { closeTimeout: number } = {
    noServer: true,
    WebSocket: PeerSocket,
    clientTracking: false,
    // Without context takeover a connection keeps no zlib state between messages.
    perMessageDeflate: host.isCompressed && {
      threshold: DEFLATE_THRESHOLD_BYTES,
      concurrencyLimit: DEFLATE_CONCURRENCY,
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
      zlibDeflateOptions: { memLevel: DEFLATE_MEMORY_LEVEL },
    },
    maxPayload: host.limits.maxMessageBytes,
    // Answered by the peer, which bounds what waits.
    autoPong: false,
    maxFragments: MAX_FRAGMENTS,
    maxBufferedChunks: MAX_BUFFERED_CHUNKS,
    closeTimeout: closeMs,
    handleProtocols: () => name,
  };
  return new WebSocketServer(settings);
}

/** Sockets count their bytes, and so do the tunnels of HTTP/2. */
function streamOf(socket: Duplex): PeerStream {
  assert("bytesRead" in socket && "bytesWritten" in socket);
  return socket as Duplex & PeerStream;
}

/** Does `action` to all items, evenly over `spreadMs`; the timer is in `timers` while it runs. */
function spread<T>(
  items: readonly T[],
  spreadMs: number,
  timers: Set<NodeJS.Timeout>,
  action: (item: T) => void,
): void {
  if (spreadMs <= 0) return items.forEach(action);
  const startedAt = performance.now();
  let done = 0;
  const timer = setInterval(() => {
    const due = Math.ceil((items.length * (performance.now() - startedAt)) / spreadMs);
    for (const item of items.slice(done, due)) action(item);
    done = Math.max(done, due);
    if (done < items.length) return;
    clearInterval(timer);
    timers.delete(timer);
  }, SPREAD_STEP_MS);
  timers.add(timer);
}
