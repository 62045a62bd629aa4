// What was counted over the last day, in memory of a fixed size: ten minutes by second, a day by minute. Rows hold totals
// since the server started, so the difference of any two is exact, percentiles included, whatever was missed between them.

import {
  HISTORY_COLUMNS,
  HISTORY_COUNTERS,
  HISTORY_GAUGES,
  type BoardWindow,
  type HistoryGauges,
} from "../ipc/board.ts";
import { LATENCY_BOUNDS_US, LATENCY_BUCKETS, type VhostCounters } from "../ipc/stats.ts";

const SECOND_ROWS = 600;
const MINUTE_ROWS = 24 * 60;
const MS_PER_SEC = 1_000;
const MINUTE_MS = 60_000;
/** A row that is nearly old enough counts as old enough: rows come a little late. */
const SLACK_MS = 500;
/** Spans that people ask for. */
const WINDOW_SECS = [60, 600, 3_600, 86_400] as const;
const LATENCY_AT = 1 + HISTORY_COUNTERS.length;
const GAUGES_AT = LATENCY_AT + LATENCY_BUCKETS;

type Sum = Pick<VhostCounters, (typeof HISTORY_COUNTERS)[number] | "latency">;

/** Rows of numbers; the oldest goes when there is no room. The first number of a row is its time. */
class Ring {
  readonly #rows: number;
  readonly #data: Float64Array;
  #written = 0;

  constructor(rows: number) {
    this.#rows = rows;
    this.#data = new Float64Array(rows * HISTORY_COLUMNS);
  }

  push(row: Float64Array): void {
    this.#data.set(row, (this.#written % this.#rows) * HISTORY_COLUMNS);
    this.#written += 1;
  }

  /** The newest row at least as old as `time`, else the oldest there is. */
  since(time: number): Float64Array | undefined {
    const oldest = Math.max(0, this.#written - this.#rows);
    for (let at = this.#written - 1; at >= oldest; at -= 1) {
      const row = this.#row(at);
      if ((row[0] ?? 0) <= time || at === oldest) return row;
    }
    return undefined;
  }

  /** Copies of all rows, the oldest first, their times moved by `offsetMs`. */
  copy(offsetMs: number): Float64Array {
    const oldest = Math.max(0, this.#written - this.#rows);
    const copy = new Float64Array((this.#written - oldest) * HISTORY_COLUMNS);
    for (let at = oldest; at < this.#written; at += 1) {
      const start = (at - oldest) * HISTORY_COLUMNS;
      copy.set(this.#row(at), start);
      copy[start] = Math.round((copy[start] ?? 0) + offsetMs);
    }
    return copy;
  }

  #row(at: number): Float64Array {
    const start = (at % this.#rows) * HISTORY_COLUMNS;
    return this.#data.subarray(start, start + HISTORY_COLUMNS);
  }
}

/** The history of one server; times are monotonic milliseconds. */
export class History {
  readonly #seconds = new Ring(SECOND_ROWS + 1);
  readonly #minutes = new Ring(MINUTE_ROWS + 1);
  #lastMinute = -Infinity;

  /** Notes how things stand; to be called once a second. */
  record(now: number, sum: Sum, gauges: HistoryGauges): void {
    const row = rowOf(now, sum, gauges);
    this.#seconds.push(row);
    if (now - this.#lastMinute < MINUTE_MS - SLACK_MS) return;
    this.#lastMinute = now;
    this.#minutes.push(row);
  }

  /** All rows as BoardHistory has them, one behind the other; `offsetMs` is between these times and the epoch. */
  rows(offsetMs: number): { readonly seconds: Float64Array; readonly minutes: Float64Array } {
    return { seconds: this.#seconds.copy(offsetMs), minutes: this.#minutes.copy(offsetMs) };
  }

  /** The last minute, and longer spans as far as the server is old enough for them to tell more. */
  windows(now: number, sum: Sum): BoardWindow[] {
    const current = rowOf(now, sum, undefined);
    const windows: BoardWindow[] = [];
    let shorterMs = 0;
    for (const secs of WINDOW_SECS) {
      const ring = secs <= SECOND_ROWS ? this.#seconds : this.#minutes;
      const before = ring.since(now - secs * MS_PER_SEC + SLACK_MS);
      const spanMs = before ? now - (before[0] ?? now) : 0;
      if (!before || spanMs <= shorterMs) break;
      windows.push(describeWindow(secs, spanMs, before, current));
      shorterMs = secs * MS_PER_SEC + SLACK_MS;
    }
    return windows;
  }
}

function rowOf(now: number, sum: Sum, gauges: HistoryGauges | undefined): Float64Array {
  const row = new Float64Array(HISTORY_COLUMNS);
  row[0] = now;
  for (const [index, name] of HISTORY_COUNTERS.entries()) row[1 + index] = sum[name];
  row.set(sum.latency.slice(0, LATENCY_BUCKETS), LATENCY_AT);
  for (const [index, name] of HISTORY_GAUGES.entries())
    row[GAUGES_AT + index] = gauges?.[name] ?? 0;
  return row;
}

function describeWindow(
  secs: number,
  spanMs: number,
  before: Float64Array,
  current: Float64Array,
): BoardWindow {
  const grown = current.map((value, column) => value - (before[column] ?? 0));
  const perSec = (name: (typeof HISTORY_COUNTERS)[number]): number => {
    const total = grown[1 + HISTORY_COUNTERS.indexOf(name)] ?? 0;
    return Math.round((total / spanMs) * MS_PER_SEC * 100) / 100;
  };
  const buckets = grown.subarray(LATENCY_AT, GAUGES_AT);
  return {
    secs,
    measuredSecs: Math.round(spanMs / MS_PER_SEC),
    requestsPerSec: perSec("requests"),
    status4xxPerSec: perSec("status4xx"),
    status5xxPerSec: perSec("status5xx"),
    rxPerSec: perSec("rx"),
    txPerSec: perSec("tx"),
    p50Us: percentile(buckets, 0.5),
    p90Us: percentile(buckets, 0.9),
    p99Us: percentile(buckets, 0.99),
  };
}

/** Exact to the bucket, a straight line within it; the last bucket tells its lower bound, "at least". Null where nothing was counted. */
export function percentile(buckets: Float64Array, share: number): number | null {
  const total = buckets.reduce((sum, count) => sum + count, 0);
  if (total <= 0) return null;
  let below = 0;
  for (const [bucket, count] of buckets.entries()) {
    const low = bucket === 0 ? 0 : (LATENCY_BOUNDS_US[bucket - 1] ?? 0);
    const high = LATENCY_BOUNDS_US[bucket] ?? low;
    if (count > 0 && below + count >= total * share)
      return Math.round(low + ((total * share - below) / count) * (high - low));
    below += count;
  }
  return LATENCY_BOUNDS_US.at(-1) ?? null;
}
