// What was counted for the server as a whole, in words: nothing is said of what never happened.

import type { Board } from "../ipc/board.ts";
import { alignColumns } from "./table.ts";

type Counts = Readonly<Record<string, number>>;

/** One line for each group of counters in which there is anything. */
export function formatCounters({ counters, totals }: Board): string[] {
  const groups: Readonly<Record<string, Counts>> = {
    connections: {
      accepted: counters.connectionsAccepted,
      "HTTP/2": counters.http2Connections,
      "not HTTP": counters.rawConnections,
      "closed for others": counters.connectionsShed,
      "too slow": counters.clientsTooSlow,
      "HTTP/2 faults": counters.http2Faults,
    },
    "HTTP/2 floods": {
      cancels: counters.http2Cancels,
      chatter: counters.http2Chatter,
      fields: counters.http2Fields,
      pieces: counters.http2Pieces,
      pings: counters.http2Pings,
      settings: counters.http2Settings,
      "stream faults": counters.http2StreamFaults,
    },
    refused: {
      "all places taken": counters.refusedFull,
      "limit per address": counters.refusedAddress,
      "no PROXY header": counters.refusedProxy,
    },
    rejected: {
      malformed: counters.rejectedMalformed,
      "too large": counters.rejectedTooLarge,
      "not in time": counters.rejectedTooSlow,
      "upgrades not granted": counters.rejectedUpgrade,
      "not supported": counters.rejectedUnsupported,
      "no place left": counters.rejectedFull,
      aborted: totals.aborted,
    },
    denied: { "by a rule": counters.deniedByRule, "wrong password": counters.deniedByPassword },
    TLS: {
      handshakes: counters.tlsHandshakes,
      resumed: counters.tlsResumed,
      failed: counters.tlsFailed,
    },
    files: {
      "from memory": counters.cacheHits,
      "from disk": counters.cacheMisses,
      compressed: counters.compressedFiles,
      "too busy to compress": counters.compressSkipped,
    },
    programs: {
      started: counters.cgiStarted,
      failed: counters.cgiFailed,
      "timed out": counters.cgiTimedOut,
    },
    WebSockets: {
      opened: totals.upgrades,
      "messages missed": counters.wsDropped,
      "closed for being slow": counters.wsTooSlow,
    },
    bus: {
      published: counters.busPublished,
      delivered: counters.busDelivered,
      dropped: counters.busDropped,
    },
    log: { "lines dropped": counters.logLinesDropped },
  };
  return alignColumns(
    Object.entries(groups).flatMap(([name, counts]) => {
      const happened = Object.entries(counts).filter(([, count]) => count > 0);
      return happened.length === 0
        ? []
        : [[name, happened.map(([what, count]) => `${count} ${what}`).join(", ")]];
    }),
  );
}
