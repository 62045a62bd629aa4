// Everything that was counted since the start, in groups; what should not happen stands out once it has.

import { sum, type Board } from "./board.ts";
import { bytes, micros, percent, roundMicros, UNKNOWN, whole } from "./format.ts";
import type { Update } from "./message.ts";
import { percentile } from "./percentile.ts";

type Fact = { readonly name: string; readonly value: string; readonly isBad?: boolean };
type Group = { readonly title: string; readonly facts: readonly Fact[] };

export function Facts({ update }: { readonly update: Update }) {
  return (
    <section class="card" id="facts" aria-labelledby="facts-title">
      <div class="head">
        <h2 id="facts-title">Since the start</h2>
      </div>
      <div class="groups">
        <Distribution board={update.board} />
        {groups(update).map(({ title, facts }) => (
          <section key={title} aria-label={title}>
            <h3>{title}</h3>
            <dl class="facts">
              {facts.map(({ name, value, isBad = false }) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd class={isBad ? "bad" : ""}>{value}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </section>
  );
}

function fact(name: string, count: number): Fact {
  return { name, value: whole(count) };
}

/** A count that should be zero. */
function fault(name: string, count: number): Fact {
  return { ...fact(name, count), isBad: count > 0 };
}

function share(part: number, all: number): string {
  return all === 0 ? UNKNOWN : percent((100 * part) / all);
}

function groups({ board, load, maxDescriptors, files }: Update): Group[] {
  const { counters, totals, workers } = board;
  const saved = counters.compressedFromBytes - counters.compressedToBytes;
  const fileAnswers = counters.cacheHits + counters.cacheMisses;
  return [
    {
      title: "Connections",
      facts: [
        fact("Accepted", counters.connectionsAccepted),
        fact("of them HTTP/2", counters.http2Connections),
        fact("of them not HTTP", counters.rawConnections),
        fault("Refused, all places taken", counters.refusedFull),
        fault("Refused, limit per address", counters.refusedAddress),
        fault("Refused, no PROXY header", counters.refusedProxy),
        fact("Idle ones closed for others", counters.connectionsShed),
        fact("Clients cut for being slow", counters.clientsTooSlow),
      ],
    },
    {
      title: "HTTP/2 connections ended",
      facts: [
        fact("For a fault", counters.http2Faults),
        fact("of them cancelled requests", counters.http2Cancels),
        fact("of them streams that failed", counters.http2StreamFaults),
        fact("of them frames for nothing", counters.http2Chatter),
        fact("of them fields too large", counters.http2Fields),
        fact("of them tiny pieces of bodies", counters.http2Pieces),
        fact("of them pings", counters.http2Pings),
        fact("of them settings", counters.http2Settings),
      ],
    },
    {
      title: "Requests not served",
      facts: [
        fact("Malformed", counters.rejectedMalformed),
        fact("Too large", counters.rejectedTooLarge),
        fact("Not there in time", counters.rejectedTooSlow),
        fact("Upgrades not granted", counters.rejectedUpgrade),
        fact("Not supported", counters.rejectedUnsupported),
        fault("No place left", counters.rejectedFull),
        fact("Denied by a rule", counters.deniedByRule),
        fact("Wrong password", counters.deniedByPassword),
        fact("Aborted", totals.aborted),
      ],
    },
    {
      title: "TLS",
      facts: [
        fact("Handshakes", counters.tlsHandshakes),
        fact("of them resumed", counters.tlsResumed),
        { name: "Share resumed", value: share(counters.tlsResumed, counters.tlsHandshakes) },
        fact("Failed", counters.tlsFailed),
        fact(
          "Open now",
          sum(workers, ({ gauges }) => gauges.openTls),
        ),
      ],
    },
    {
      title: "Files",
      facts: [
        fact("Answers from memory", counters.cacheHits),
        fact("Answers from disk", counters.cacheMisses),
        { name: "Share from memory", value: share(counters.cacheHits, fileAnswers) },
        fact(
          "Files in memory now",
          sum(workers, ({ gauges }) => gauges.cacheFiles),
        ),
        { name: "Memory they take", value: bytes(sum(workers, (w) => w.gauges.cacheBytes)) },
        fact("Read into memory", counters.cacheLoads),
        fact("Put out for others", counters.cacheEvicted),
      ],
    },
    {
      title: "Compression",
      facts: [
        fact("Files compressed", counters.compressedFiles),
        { name: "Bytes before", value: bytes(counters.compressedFromBytes) },
        { name: "Bytes after", value: bytes(counters.compressedToBytes) },
        { name: "Saved", value: share(saved, counters.compressedFromBytes) },
        fact("Skipped, too busy", counters.compressSkipped),
        { name: "Kept now", value: bytes(sum(workers, (w) => w.gauges.compressedBytes)) },
      ],
    },
    {
      title: "Programs",
      facts: [
        fact("Started", counters.cgiStarted),
        fault("Failed", counters.cgiFailed),
        fault("Timed out", counters.cgiTimedOut),
        fact(
          "Running now",
          sum(workers, ({ gauges }) => gauges.cgiAlive),
        ),
      ],
    },
    {
      title: "WebSockets and the bus",
      facts: [
        fact("WebSockets opened", totals.upgrades),
        fact("Messages slow clients missed", counters.wsDropped),
        fact("Closed for being slow", counters.wsTooSlow),
        fact("Bus messages published", counters.busPublished),
        fact("Bus messages delivered", counters.busDelivered),
        fault("Bus messages dropped", counters.busDropped),
        ...natsFacts(board),
      ],
    },
    {
      title: "Server",
      facts: [
        { name: "Load average", value: load.join("  ") },
        { name: "Descriptors of a worker", value: limit(maxDescriptors) },
        fault("Workers that died", board.restarts),
        fault("Samples lost with a worker", board.samplesLost),
        fault("Log lines dropped", counters.logLinesDropped),
        ...files.map(({ path, val }) => ({ name: path, value: val.trim() })),
      ],
    },
  ];
}

function natsFacts({ nats }: Board): Fact[] {
  if (!nats) return [];
  return [
    { name: `NATS, ${nats.address}`, value: nats.isUp ? "up" : "down", isBad: !nats.isUp },
    fact("Sent over NATS", nats.sent),
    fact("Received over NATS", nats.received),
  ];
}

/** How long all answers took: a bar for each part of the histogram. */
function Distribution({ board: { totals, latencyBoundsUs } }: { readonly board: Board }) {
  const { latency } = totals;
  const all = latency.reduce((total, count) => total + count, 0);
  const first = latency.findIndex((count) => count > 0);
  const last = latency.findLastIndex((count) => count > 0);
  const most = Math.max(1, ...latency);
  const quantile = (part: number): string => micros(percentile(latency, latencyBoundsUs, part));
  return (
    <section aria-label="Time to answer" id="distribution">
      <h3>Time to answer</h3>
      <dl class="facts">
        {[0.5, 0.9, 0.99].map((part) => (
          <div key={part}>
            <dt>p{100 * part}</dt>
            <dd>{quantile(part)}</dd>
          </div>
        ))}
      </dl>
      <dl class="facts bars">
        {latency.slice(Math.max(0, first), last + 1).map((count, offset) => {
          const bucket = Math.max(0, first) + offset;
          const width = `${((100 * count) / most).toFixed(1)}%`;
          return (
            <div key={bucket}>
              <dt>{boundName(latencyBoundsUs, bucket)}</dt>
              <dd>
                <span class="track">
                  <i style={{ width }} />
                </span>
                <span>{share(count, all)}</span>
              </dd>
            </div>
          );
        })}
      </dl>
    </section>
  );
}

function boundName(bounds: readonly number[], bucket: number): string {
  const bound = bounds[bucket];
  return bound === undefined
    ? `over ${roundMicros(bounds.at(-1) ?? 0)}`
    : `up to ${roundMicros(bound)}`;
}

function limit(descriptors: string): string {
  return descriptors === "0" ? "unknown" : whole(Number(descriptors));
}
