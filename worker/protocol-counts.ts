// Counters of a protocol's own. A plugin names them as it likes, so what it may make of them is bounded here; the supervisor
// holds the worker to the same.

import { MAX_PROTOCOL_COUNTERS, PROTOCOL_COUNTER } from "../ipc/stats.ts";
import type { ProtocolCounts } from "./counters.ts";
import type { ProtocolContext } from "./protocol.ts";

/** `count` of a protocol's context, which adds to `counts`. */
export function createCount(counts: ProtocolCounts): ProtocolContext["count"] {
  return (name, by = 1) => {
    // A number that no sum can reach would be one that the supervisor does not take.
    if (!(by >= 0 && by <= Number.MAX_SAFE_INTEGER))
      throw new RangeError(`Counters only grow, not by ${by}`);
    const known = counts[name];
    if (known !== undefined) {
      counts[name] = known + by;
      return;
    }
    if (!PROTOCOL_COUNTER.test(name))
      throw new RangeError(`${JSON.stringify(name)} is no name of a counter, such as "lines_read"`);
    if (Object.keys(counts).length >= MAX_PROTOCOL_COUNTERS)
      throw new RangeError(`A protocol has at most ${MAX_PROTOCOL_COUNTERS} counters`);
    counts[name] = by;
  };
}
