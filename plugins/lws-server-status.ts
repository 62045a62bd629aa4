// The server's statistics as lwsws 2.0 sent them, one JSON text per update, with all Portico knows under "portico".
// Counters are whole-server totals from the supervisor's board, so every worker tells the same.

import { readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { flag, integer, object } from "../config/shape.ts";
import { defineProtocol, type Board, type BoardVhost, type Peer } from "../worker/protocol.ts";

/** Boards come once a second, give or take this much; a client is not made to wait for the next one. */
const BOARD_JITTER_MS = 500;

const shape = object({
  "update-ms": integer({ min: 1, max: 86_400_000 }).default(1000).meta({
    description:
      "Time between updates in milliseconds. Statistics are gathered once a second, so less changes nothing.",
  }),
  "hide-vhosts": flag(false).meta({
    description:
      "Leaves out the names, mounts and counters of virtual hosts, and what reloads said of them.",
  }),
});

export default defineProtocol({
  name: "lws-server-status",
  options: shape,
  maxMessageBytes: 64 * 1024,
  start(context, options) {
    const peers = new Set<Peer>();
    const maxDescriptors = readDescriptorLimit();
    let latest: string | undefined;
    let sentAt = 0;
    let unwatch: (() => void) | undefined;

    function update(board: Board): void {
      const now = performance.now();
      if (latest !== undefined && now - sentAt + BOARD_JITTER_MS < options["update-ms"]) return;
      sentAt = now;
      latest = render(options["hide-vhosts"] ? withoutVhosts(board) : board, maxDescriptors);
      for (const peer of peers) peer.send(latest);
    }

    function rest(): void {
      unwatch?.();
      unwatch = undefined;
      latest = undefined; // the next visitor must not see how things once were
    }

    return {
      open(peer) {
        peers.add(peer);
        if (latest !== undefined) peer.send(latest);
        unwatch ??= context.watchBoard(update);
      },
      close(peer) {
        peers.delete(peer);
        if (peers.size === 0) rest();
      },
      stop: rest,
    };
  },
});

/** Every scalar is a string, as it was; what Portico has no counterpart for (the header pool) is "0". */
function render(board: Board, maxDescriptors: string): string {
  const gauges = board.workers.map((worker) => worker.gauges);
  const open = gauges.reduce((sum, gauge) => sum + gauge.openConnections, 0);
  const listening = board.listeners.filter((listener) => listener.state === "open").length;
  const [l1 = "0.00", l2 = "0.00", l3 = "0.00"] = loadavg().map((load) => load.toFixed(2));
  return JSON.stringify({
    version: board.version,
    uptime: String(Math.floor((board.now - board.startedAt) / 1000)),
    cgi_spawned: String(board.counters.cgiStarted),
    pt_fd_max: maxDescriptors,
    ah_pool_max: "0",
    wsi_alive: String(open + listening),
    l1,
    l2,
    l3,
    pt: gauges.map((gauge) => ({
      fds_count: String(gauge.openConnections),
      ah_pool_inuse: String(gauge.activeRequests),
      ah_wait_list: "0",
    })),
    vhosts: board.vhosts.map(renderVhost),
    listen_wsi: String(listening),
    cgi_alive: String(gauges.reduce((sum, gauge) => sum + gauge.cgiAlive, 0)),
    portico: board,
  });
}

function renderVhost(vhost: BoardVhost): object {
  const { counters } = vhost;
  const mounts = vhost.mounts.map((mount) => ({
    mountpoint: mount.mountpoint,
    origin: mount.origin,
    cache_max_age: String(mount.cacheMaxAge),
    cache_reuse: bit(mount.cacheReuse),
    cache_revalidate: bit(mount.cacheRevalidate),
    cache_intermediaries: bit(mount.cacheIntermediaries),
    ...(mount.default === "" ? {} : { default: mount.default }),
  }));
  return {
    name: vhost.name,
    port: String(vhost.port),
    use_ssl: bit(vhost.secure),
    sts: bit(vhost.sts),
    rx: String(counters.rx),
    tx: String(counters.tx),
    conn: String(counters.connections),
    trans: String(counters.requests),
    ws_upg: String(counters.upgrades),
    http2_upg: "0",
    ...(mounts.length === 0 ? {} : { mounts }),
    "ws-protocols": vhost.protocols.map((name) => ({ [name]: { status: "ok" } })),
  };
}

function bit(value: boolean): string {
  return value ? "1" : "0";
}

function withoutVhosts(board: Board): Board {
  const { lastReload } = board;
  return {
    ...board,
    vhosts: [],
    listeners: board.listeners.map((listener) => ({ ...listener, vhosts: [] })),
    lastReload: lastReload && { ...lastReload, message: "", problems: [] },
  };
}

/** Descriptors this process may open, "0" where the system does not say. */
function readDescriptorLimit(): string {
  try {
    return /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1] ?? "0";
  } catch {
    return "0";
  }
}
