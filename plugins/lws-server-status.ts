// The server's statistics as lwsws 2.0 sent them, one JSON text per update, with all Portico knows under "portico".
// Counters are whole-server totals from the supervisor's board, so every worker tells the same. A client that asks for "?changes"
// (the status page) gets everything once, with the history, and after each message of its own what has changed since.

import { constants, readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { loadavg } from "node:os";
import { isAbsolute } from "node:path";
import { array, check, convert, flag, integer, object, text } from "../config/shape.ts";
import {
  defineProtocol,
  type Board,
  type BoardHistory,
  type BoardVhost,
  type Peer,
} from "../worker/protocol.ts";

/** Boards come once a second, give or take this much; a client is not made to wait for the next one. */
const BOARD_JITTER_MS = 500;
/** Boards that changes are told from; whoever knows only an older one gets everything again. */
const KEPT_BOARDS = 20;
/** Boards that may come while a client takes what it was sent. What it holds up until then is a text of its own. */
const MAX_MISSED = 30;
const TRY_LATER = 1013;
/** What lwsws showed of a file, and how many may be named. */
const MAX_FILE_BYTES = 255;
const MAX_FILES = 32;
const CHANGES = /[?&]changes(?:[=&]|$)/;

const file = check(text(), (path) => {
  return isAbsolute(path) ? undefined : `Expected an absolute path, got ${JSON.stringify(path)}`;
});
const files = convert(array(file).or(file), (value, refuse): string[] | undefined => {
  const paths = typeof value === "string" ? [value] : value;
  return paths.length <= MAX_FILES ? paths : refuse(`Expected at most ${MAX_FILES} files`);
});

const shape = object({
  "update-ms": integer({ min: 1, max: 86_400_000 }).default(1000).meta({
    description:
      "Time between updates in milliseconds. Statistics are gathered once a second, so less changes nothing.",
  }),
  "hide-vhosts": flag(false).meta({
    description:
      "Leaves out the names, mounts and counters of virtual hosts, and what reloads said of them.",
  }),
  filespath: files.exactOptional().meta({
    description:
      "A file whose first 255 bytes are shown too, such as a temperature in `/sys`; may be repeated. Read as the user of the workers.",
  }),
  filepath: files.exactOptional().meta({ description: "As `filespath`." }),
});

type ShownFile = { readonly path: string; readonly val: string };

/** What a client of "?changes" knows. */
type Follower = {
  /** Number of the board it was sent last, 0 for none. */
  known: number;
  /** Whether it has yet to say that it has taken that. */
  isTaking: boolean;
};

/** What is told beside the board. */
type Surroundings = { readonly files: readonly ShownFile[]; readonly maxDescriptors: string };

export default defineProtocol({
  name: "lws-server-status",
  options: shape,
  maxMessageBytes: 64 * 1024,
  start(context, options) {
    const paths = [...(options.filespath ?? []), ...(options.filepath ?? [])];
    const peers = new Set<Peer>();
    const followers = new Map<Peer, Follower>();
    const texts = createTexts(readDescriptorLimit());
    /** The newest boards, the last one at the end; `newest` is its number. */
    let boards: Board[] = [];
    let newest = 0;
    let sentAt = 0;
    let history: BoardHistory | undefined;
    let stopWatching: (() => void) | undefined;
    let reading: Promise<void> | undefined;
    look();

    /** One look at a time: a file system may hang. */
    function look(): void {
      if (paths.length === 0) return;
      reading ??= readFiles(paths)
        .then((shown) => texts.show(shown))
        .finally(() => (reading = undefined));
    }

    function update(latest: Board): void {
      const now = performance.now();
      if (boards.length > 0 && now - sentAt + BOARD_JITTER_MS < options["update-ms"]) return;
      sentAt = now;
      boards = [...boards, options["hide-vhosts"] ? withoutVhosts(latest) : latest].slice(
        -KEPT_BOARDS,
      );
      newest += 1;
      texts.forget();
      look();
      if (peers.size > 0) {
        const all = texts.everything(latestBoard());
        for (const peer of peers) peer.send(all);
      }
      for (const [peer, follower] of followers) follow(peer, follower);
    }

    function latestBoard(): Board {
      const board = boards.at(-1);
      if (!board) throw new Error("No board yet");
      return board;
    }

    /** Sends what is new to a client that waits for it. */
    function follow(peer: Peer, follower: Follower): void {
      if (boards.length === 0 || (follower.known === 0 && !history)) return;
      if (follower.isTaking) {
        if (newest - follower.known > MAX_MISSED) peer.close(TRY_LATER, "Too slow");
        return;
      }
      if (follower.known === newest) return;
      const before =
        follower.known === 0 ? undefined : boards[boards.length - 1 - (newest - follower.known)];
      peer.send(
        before
          ? texts.changes(latestBoard(), before)
          : texts.beginning(latestBoard(), follower.known === 0 ? history : undefined),
      );
      follower.known = newest;
      follower.isTaking = true;
    }

    /** A history is read for those who begin; without one they begin all the same. */
    async function remember(): Promise<void> {
      const found = await context.readHistory().catch(() => undefined);
      history = found ?? { seconds: [], minutes: [] };
      for (const [peer, follower] of followers) if (follower.known === 0) follow(peer, follower);
    }

    function rest(): void {
      stopWatching?.();
      stopWatching = undefined;
      boards = []; // the next visitor must not see how things once were
      history = undefined;
    }

    return {
      open(peer) {
        if (CHANGES.test(peer.target)) {
          followers.set(peer, { known: 0, isTaking: false });
          history = undefined;
          void remember();
        } else {
          peers.add(peer);
          if (boards.length > 0) peer.send(texts.everything(latestBoard()));
        }
        stopWatching ??= context.watchBoard(update);
      },
      message(peer) {
        const follower = followers.get(peer);
        // One that was sent nothing has nothing to answer.
        if (!follower?.isTaking) return;
        follower.isTaking = false;
        follow(peer, follower);
      },
      close(peer) {
        peers.delete(peer);
        followers.delete(peer);
        if (peers.size + followers.size === 0) rest();
      },
      stop: rest,
    };
  },
});

/** The texts that clients get. What is the same for many is written once. */
function createTexts(maxDescriptors: string) {
  let around: Surroundings = { maxDescriptors, files: [] };
  const vhosts = new WeakMap<BoardVhost, { readonly lws: string; readonly portico: string }>();
  const histories = new WeakMap<BoardHistory, string>();
  const made = new Map<string, { readonly of: readonly unknown[]; readonly text: string }>();

  /** The text of that name, made anew where what it is made of is not the same. */
  function once(name: string, of: readonly unknown[], make: () => string): string {
    const known = made.get(name);
    if (known?.of.every((part, index) => part === of[index])) return known.text;
    const written = make();
    made.set(name, { of, text: written });
    return written;
  }

  function textOf(vhost: BoardVhost): { readonly lws: string; readonly portico: string } {
    let known = vhosts.get(vhost);
    if (!known) {
      known = { lws: JSON.stringify(renderVhost(vhost)), portico: JSON.stringify(vhost) };
      vhosts.set(vhost, known);
    }
    return known;
  }

  function portico(board: Board): string {
    const all = board.vhosts.map((vhost) => textOf(vhost).portico);
    return withMember({ ...board, vhosts: undefined }, "vhosts", `[${all.join()}]`);
  }

  return {
    show(shown: readonly ShownFile[]): void {
      around = { ...around, files: shown };
    },
    /** There is a newer board: what was made of older ones is not wanted any more. */
    forget(): void {
      made.clear();
    },
    /** As lwsws, and all of the board. */
    everything: (board: Board): string =>
      once("everything", [board, around], () => {
        const all = board.vhosts.map((vhost) => textOf(vhost).lws);
        const rest = withMember(render(board, around), "vhosts", `[${all.join()}]`);
        return append(rest, "portico", portico(board));
      }),
    /** All of the board, and what was before where that is wanted. */
    beginning: (board: Board, history: BoardHistory | undefined): string =>
      once("beginning", [board, around, history], () => {
        const whole = withMember(renderAround(around), "portico", portico(board));
        if (!history) return whole;
        let past = histories.get(history);
        if (past === undefined) histories.set(history, (past = JSON.stringify(shorten(history))));
        return append(whole, "history", past);
      }),
    /** What of `board` is not as in `before`. */
    changes: (board: Board, before: Board): string =>
      once(`changes ${before.now}`, [board, before, around], () =>
        JSON.stringify({ ...renderAround(around), changes: describeChanges(board, before) }),
      ),
  };
}

function withMember(value: object, name: string, json: string): string {
  return append(JSON.stringify(value), name, json);
}

/** `whole` is an object with one member at least. */
function append(whole: string, name: string, json: string): string {
  return `${whole.slice(0, -1)},"${name}":${json}}`;
}

/** Members that are the same are left out. Vhosts and mounts stand for themselves by their places. */
function describeChanges(board: Board, before: Board): object {
  const { vhosts, ...rest } = board;
  const old: Readonly<Record<string, unknown>> = before;
  const members = Object.entries(rest).filter(([name, value]) => value !== old[name]);
  const isComparable =
    board.listeners === before.listeners && vhosts.length === before.vhosts.length;
  if (!isComparable) return { ...Object.fromEntries(members), vhosts };
  const changed = vhosts.flatMap((vhost, index) => {
    const known = before.vhosts[index];
    return vhost === known || !known ? [] : [[index, describeVhost(vhost, known)]];
  });
  return { ...Object.fromEntries(members), changed };
}

function describeVhost(vhost: BoardVhost, before: BoardVhost): object {
  const { counters, certificate, protocolCounts, mounts } = vhost;
  const changed = mounts.flatMap(({ counters: own, cgi }, index) => {
    const known = before.mounts[index];
    // These two grow with any other.
    const isSame =
      own?.requests === known?.counters?.requests && own?.aborted === known?.counters?.aborted;
    const isStill = isSame && JSON.stringify(cgi) === JSON.stringify(known?.cgi);
    return isStill ? [] : [[index, { counters: own, cgi }]];
  });
  return { counters, certificate, protocolCounts, mounts: changed };
}

/** Each row but the first as what its numbers are more than those before: that is mostly zeros. */
function shorten({ seconds, minutes }: BoardHistory): object {
  const differences = (rows: BoardHistory["seconds"]): number[][] =>
    rows.map((row, index) =>
      row.map((value, column) => {
        const difference = value - (rows[index - 1]?.[column] ?? 0);
        return Math.round(difference * 10) / 10;
      }),
    );
  return { seconds: differences(seconds), minutes: differences(minutes) };
}

/** Every scalar is a string, as it was; what Portico has no counterpart for (the header pool) is "0". */
function render(board: Board, around: Surroundings): object {
  const gauges = board.workers.map((worker) => worker.gauges);
  const connections = gauges.reduce((sum, gauge) => sum + gauge.openConnections, 0);
  const listening = board.listeners.filter((listener) => listener.state === "open").length;
  return {
    version: board.version,
    uptime: String(Math.floor((board.now - board.startedAt) / 1000)),
    cgi_spawned: String(board.counters.cgiStarted),
    ah_pool_max: "0",
    wsi_alive: String(connections + listening),
    ...renderAround(around),
    pt: gauges.map((gauge) => ({
      fds_count: String(gauge.openConnections),
      ah_pool_inuse: String(gauge.activeRequests),
      ah_wait_list: "0",
    })),
    listen_wsi: String(listening),
    cgi_alive: String(gauges.reduce((sum, gauge) => sum + gauge.cgiAlive, 0)),
  };
}

function renderAround({ files: shown, maxDescriptors }: Surroundings): object {
  const [l1 = "0.00", l2 = "0.00", l3 = "0.00"] = loadavg().map((load) => load.toFixed(2));
  return { pt_fd_max: maxDescriptors, l1, l2, l3, ...(shown.length > 0 && { files: shown }) };
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

/** Also without what was said of them. */
function withoutVhosts(board: Board): Board {
  const { lastReload } = board;
  return {
    ...board,
    vhosts: [],
    listeners: board.listeners.map((listener) => ({ ...listener, vhosts: [] })),
    deaths: board.deaths.map((death) => ({ ...death, why: "" })),
    lastReload: lastReload && { ...lastReload, message: "", problems: [] },
  };
}

/** The beginning of each file; lwsws's own word where it cannot be read. */
function readFiles(paths: readonly string[]): Promise<ShownFile[]> {
  return Promise.all(
    paths.map(async (path) => {
      try {
        // Nobody may ever write to a pipe.
        await using handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
        const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAX_FILE_BYTES));
        return { path, val: buffer.toString("utf8", 0, bytesRead) };
      } catch {
        return { path, val: "(unknown)" };
      }
    }),
  );
}

/** Descriptors this process may open, "0" where the system does not say. */
function readDescriptorLimit(): string {
  try {
    return /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1] ?? "0";
  } catch {
    return "0";
  }
}
