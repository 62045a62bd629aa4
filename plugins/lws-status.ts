// Who is connected: one JSON text to every client whenever somebody comes or goes, on any worker.
// Each worker announces its own connections on the bus; what a worker announced goes when the worker goes.

import { hostname } from "node:os";
import { defineProtocol, type Peer } from "../worker/protocol.ts";

/** Comings and goings closer together than this share one message, so a storm of them costs no square. */
const MIN_INTERVAL_MS = 100;
/** Connections a worker announces and lists of another; "wsi" counts them all. */
const MAX_LISTED = 500;
const MAX_USER_AGENT = 256;
const TOPIC = "connections";

type Connection = {
  readonly id: string;
  readonly peer: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly ua: string;
};

/** On the bus, as JSON. `size` is how many the worker has then, which shows a lost message. */
type Announcement =
  | { readonly say: "ask" }
  | { readonly say: "all"; readonly all: readonly Connection[]; readonly size: number }
  | { readonly say: "join"; readonly join: Connection; readonly size: number }
  | { readonly say: "leave"; readonly leave: string; readonly size: number };

type WorkerList = { readonly listed: Map<string, Connection>; size: number };

export default defineProtocol({
  name: "lws-status",
  maxMessageBytes: 64 * 1024,
  start(context) {
    const peers = new Set<Peer>();
    const workers = new Map<number, WorkerList>();
    const own = listOf(context.worker);
    let isOutdated = false;
    let isIncomplete = false;
    let endPause: (() => void) | undefined;

    function listOf(worker: number): WorkerList {
      let list = workers.get(worker);
      if (!list) workers.set(worker, (list = { listed: new Map(), size: 0 }));
      return list;
    }

    function publish(announcement: Announcement): void {
      context.bus.publish(TOPIC, JSON.stringify(announcement));
    }

    function publishAll(): void {
      const all = [...own.listed.values()].slice(0, MAX_LISTED);
      publish({ say: "all", all, size: own.size });
    }

    function changed(): void {
      isOutdated = true;
      if (endPause) return;
      tellPeers();
      endPause = context.every(MIN_INTERVAL_MS, () => {
        if (isIncomplete) ask();
        if (isOutdated) return tellPeers();
        endPause?.();
        endPause = undefined;
      });
    }

    function ask(): void {
      isIncomplete = false;
      publish({ say: "ask" });
    }

    function tellPeers(): void {
      isOutdated = false;
      if (peers.size === 0) return;
      const text = render([...workers.values()], context.version);
      for (const peer of peers) peer.send(text);
    }

    function hear(announcement: Announcement, from: number): void {
      if (announcement.say === "ask") return publishAll();
      const list = listOf(from);
      list.size = announcement.size;
      if (announcement.say === "all") {
        isIncomplete = false;
        list.listed.clear();
        for (const connection of announcement.all) list.listed.set(connection.id, connection);
      } else {
        if (announcement.say === "leave") list.listed.delete(announcement.leave);
        else if (list.listed.size < MAX_LISTED)
          list.listed.set(announcement.join.id, announcement.join);
        // Not as many as there are: something was announced that did not get here.
        if (list.size <= MAX_LISTED && list.listed.size !== list.size) isIncomplete = true;
      }
      changed();
    }

    const unsubscribe = context.bus.subscribe(TOPIC, (message, from) => {
      const announcement: Announcement = JSON.parse(message.toString("utf8"));
      hear(announcement, from);
    });
    const forgetDepartures = context.bus.onDeparture((worker) => {
      if (workers.delete(worker)) changed();
    });
    const forgetArrivals = context.bus.onArrival(ask);
    ask();

    return {
      open(peer) {
        const join = describe(peer);
        peers.add(peer);
        own.size += 1;
        own.listed.set(join.id, join);
        publish({ say: "join", join, size: own.size });
        changed();
      },
      close(peer) {
        peers.delete(peer);
        own.size -= 1;
        own.listed.delete(peer.id);
        publish({ say: "leave", leave: peer.id, size: own.size });
        changed();
      },
      stop() {
        unsubscribe();
        forgetDepartures();
        forgetArrivals();
      },
    };
  },
});

function describe(peer: Peer): Connection {
  const ua = peer.userAgent.slice(0, MAX_USER_AGENT);
  return { id: peer.id, peer: peer.address, since: peer.openedAt.getTime(), ua };
}

/** The names are those of lwsws 2.0; "unix" is the time as later versions of lws write it. */
function render(workers: readonly WorkerList[], version: string): string {
  const connections = workers.flatMap((list) => [...list.listed.values()].slice(0, MAX_LISTED));
  return JSON.stringify({
    version,
    hostname: hostname(),
    wsi: String(workers.reduce((sum, list) => sum + list.size, 0)),
    conns: connections
      .toSorted((a, b) => a.since - b.since)
      .map(({ peer, since, ua }) => ({
        peer,
        time: `${new Date(since).toISOString().slice(0, 16).replace("T", " ")} UTC`,
        ua,
        unix: String(Math.floor(since / 1000)),
      })),
  });
}
