// Clients that owe bytes, or do not take any: how long a stream waits for them, and how slow they may be. As for HTTP/1.1, but
// for each stream, because its siblings may well move.

import type { Http2Context } from "./context.ts";
import { Patience } from "./patience.ts";
import type { Stream } from "./stream.ts";

/** Looks at one stream, every `sweepMs`. */
export function watchStream(
  stream: Stream,
  { clocks, counters }: Pick<Http2Context, "clocks" | "counters">,
  now: number,
): void {
  if (stream.isLocalDone) {
    // Answered, and still sending: it has had its moment to stop (RFC 9113 8.1).
    if (now - stream.answeredAt > clocks.lingerMs) stream.reset("NO_ERROR");
    return;
  }
  const { exchange } = stream;
  if (exchange?.awaitsBody) {
    const { minBodyRate, progressMs } = clocks;
    stream.bodyPatience ??= new Patience(minBodyRate, progressMs, () => stream.receivedBytes);
    if (stream.bodyPatience.spend(clocks.sweepMs)) {
      counters.worker.clientsTooSlow += 1;
      exchange.cutStalled();
    }
  }
  // What waits here, waits for a window: the write of the whole connection has a clock of its own.
  if (stream.pendingBytes === 0) return;
  const { minSendRate, sendMs } = clocks;
  stream.sendPatience ??= new Patience(minSendRate, sendMs, () => stream.sentBytes);
  if (!stream.sendPatience.spend(clocks.sweepMs)) return;
  counters.worker.clientsTooSlow += 1;
  if (exchange) exchange.cutStalled();
  else stream.reset("CANCEL");
}
