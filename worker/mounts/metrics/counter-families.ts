// What workers count beside their vhosts, as families: one with a label where counters are parts of one whole.

import type { WorkerCounters } from "../../../ipc/stats.ts";
import type { Family } from "./exposition.ts";
import { counter } from "./family.ts";

type Name = keyof WorkerCounters;
type Told = {
  readonly name: string;
  readonly help: string;
  readonly unit?: "bytes";
} & (
  | { readonly of: Name }
  /** By the label and its values. */
  | { readonly label: string; readonly parts: Readonly<Record<string, Name>> }
);

const FAMILIES: readonly Told[] = [
  {
    name: "connections_accepted",
    help: "Connections accepted.",
    of: "connectionsAccepted",
  },
  {
    name: "http2_connections",
    help: "Those of them that spoke HTTP/2.",
    of: "http2Connections",
  },
  { name: "raw_connections", help: "Those of them that were not HTTP.", of: "rawConnections" },
  {
    name: "connections_refused",
    help: "Connections not taken.",
    label: "reason",
    parts: { full: "refusedFull", address: "refusedAddress", proxy: "refusedProxy" },
  },
  {
    name: "connections_shed",
    help: "Idle connections closed to make room.",
    of: "connectionsShed",
  },
  { name: "tls_handshakes", help: "TLS handshakes completed.", of: "tlsHandshakes" },
  {
    name: "tls_resumptions",
    help: "Those of them that went on with an older session.",
    of: "tlsResumed",
  },
  { name: "tls_failures", help: "TLS handshakes that failed.", of: "tlsFailed" },
  {
    name: "http_rejections",
    help: "Requests rejected, and upgrades not granted.",
    label: "reason",
    parts: {
      malformed: "rejectedMalformed",
      too_large: "rejectedTooLarge",
      too_slow: "rejectedTooSlow",
      upgrade: "rejectedUpgrade",
      unsupported: "rejectedUnsupported",
      full: "rejectedFull",
    },
  },
  {
    name: "access_denied",
    help: "Requests denied by an access rule, or for a wrong password.",
    label: "by",
    parts: { rule: "deniedByRule", password: "deniedByPassword" },
  },
  {
    name: "clients_too_slow",
    help: "Clients cut because they sent or took too little.",
    of: "clientsTooSlow",
  },
  {
    name: "http2_faults",
    help: "HTTP/2 connections ended for what their client did.",
    of: "http2Faults",
  },
  {
    name: "http2_floods",
    help: "HTTP/2 connections ended for too much of something, by what it was.",
    label: "of",
    parts: {
      cancels: "http2Cancels",
      chatter: "http2Chatter",
      fields: "http2Fields",
      pieces: "http2Pieces",
      pings: "http2Pings",
      settings: "http2Settings",
      stream_faults: "http2StreamFaults",
    },
  },
  {
    name: "file_answers",
    help: "Requests for files, by where they were answered from.",
    label: "from",
    parts: { memory: "cacheHits", disk: "cacheMisses" },
  },
  { name: "file_cache_loads", help: "Files read into memory.", of: "cacheLoads" },
  {
    name: "file_cache_evictions",
    help: "Files put out of memory to make room.",
    of: "cacheEvicted",
  },
  { name: "compressions", help: "Files compressed.", of: "compressedFiles" },
  {
    name: "compressions_skipped",
    help: "Files sent as they are because too many were waiting.",
    of: "compressSkipped",
  },
  {
    name: "compression_input_bytes",
    help: "Bytes of files before compression.",
    unit: "bytes",
    of: "compressedFromBytes",
  },
  {
    name: "compression_output_bytes",
    help: "Bytes of files after compression.",
    unit: "bytes",
    of: "compressedToBytes",
  },
  { name: "cgi_started", help: "Programs started.", of: "cgiStarted" },
  {
    name: "cgi_failed",
    help: "Programs that could not be started or answered wrongly.",
    of: "cgiFailed",
  },
  { name: "cgi_timed_out", help: "Programs ended because they took too long.", of: "cgiTimedOut" },
  {
    name: "log_lines_dropped",
    help: "Lines of access logs that could not be written.",
    of: "logLinesDropped",
  },
  { name: "bus_published", help: "Messages that plugins published.", of: "busPublished" },
  { name: "bus_delivered", help: "Messages that plugins got.", of: "busDelivered" },
  { name: "bus_dropped", help: "Messages of plugins that were lost.", of: "busDropped" },
  {
    name: "websocket_messages_dropped",
    help: "WebSocket messages that a slow client did not get.",
    of: "wsDropped",
  },
  {
    name: "websocket_clients_too_slow",
    help: "WebSockets closed because their client was slow.",
    of: "wsTooSlow",
  },
];

/** Counters of the whole server. */
export function describeCounters(counters: WorkerCounters): Family[] {
  return FAMILIES.map((told) =>
    counter(
      told.name,
      told.help,
      "of" in told
        ? counters[told.of]
        : Object.entries(told.parts).map(([value, of]) => ({
            labels: { [told.label]: value },
            value: counters[of],
          })),
      told.unit,
    ),
  );
}
