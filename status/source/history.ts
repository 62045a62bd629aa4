// The last minutes as rows of numbers, drawn from cumulative boards. A rate exists only between two boards of one run of
// the server that came over one connection; everything else is a gap. Nothing here touches the page.

import { sum, type Board, type VhostCounters } from "./board.ts";
import { percentile } from "./percentile.ts";

/** How far back a row is kept. */
export const HISTORY_SECS = 600;
/** Bounds the history also when boards come faster than once a second. */
export const MAX_ROWS = 1_200;

const RATES = [
  "requests",
  "status1xx",
  "status2xx",
  "status3xx",
  "status4xx",
  "status5xx",
  "rx",
  "tx",
] as const satisfies Exclude<keyof VhostCounters, "latency">[];
const PERCENTILES = { p50: 0.5, p90: 0.9, p99: 0.99 };
const GAUGES = ["http", "webSockets"] as const;

export type SeriesName =
  | (typeof RATES)[number]
  | keyof typeof PERCENTILES
  | (typeof GAUGES)[number];

/** Rates are per second, percentiles in microseconds; null where there is nothing to know. */
export type Row = Readonly<Record<SeriesName, number | null>>;

export type History = {
  /** Takes a board. False: it is older than the last one, and must not be shown. */
  add(board: Board): boolean;
  /** What comes next is not connected to what came before. */
  interrupt(): void;
  /** Server's clock, in seconds since the epoch, ascending. */
  readonly times: readonly number[];
  readonly rows: readonly Row[];
  /** Requests per second of each vhost by its key, of the last row. */
  readonly vhostRates: ReadonlyMap<string, number>;
};

const GAP = Object.fromEntries(
  [...RATES, ...Object.keys(PERCENTILES), ...GAUGES].map((name) => [name, null]),
) as Row;

/** An empty history. */
export function createHistory(): History {
  const times: number[] = [];
  const rows: Row[] = [];
  let newest: Board | undefined;
  /** Whether a difference to `newest` means anything. */
  let isConnected = false;
  let vhostRates: ReadonlyMap<string, number> = new Map();

  function push(at: number, row: Row): void {
    times.push(at);
    rows.push(row);
    while (rows.length > MAX_ROWS || (times[0] ?? at) < at - HISTORY_SECS) {
      times.shift();
      rows.shift();
    }
  }

  return {
    times,
    rows,
    get vhostRates() {
      return vhostRates;
    },
    interrupt() {
      isConnected = false;
    },
    add(board) {
      if (newest !== undefined && board.now <= newest.now) {
        // The first message may be one that another worker had kept for its own clients: counters would go back.
        if (!isConnected && isSameRun(newest, board)) return false;
        // Otherwise the server's clock was set back, and time on the charts starts anew.
        times.length = 0;
        rows.length = 0;
        isConnected = false;
      }
      const before =
        newest !== undefined && isConnected && isSameRun(newest, board) ? newest : undefined;
      const at = board.now / 1000;
      const last = times.at(-1);
      if (!before && last !== undefined) push((last + at) / 2, GAP);
      push(
        at,
        before ? { ...rates(before, board), ...gauges(board) } : { ...GAP, ...gauges(board) },
      );
      vhostRates = before ? ratesOfVhosts(before, board) : new Map();
      newest = board;
      isConnected = true;
      return true;
    },
  };
}

function isSameRun(one: Board, other: Board): boolean {
  return one.pid === other.pid && one.startedAt === other.startedAt;
}

function rates(before: Board, board: Board): Row {
  const secs = (board.now - before.now) / 1000;
  const { latency } = before.totals;
  const buckets = board.totals.latency.map((count, bucket) => count - (latency[bucket] ?? 0));
  const row: Record<SeriesName, number | null> = { ...GAP };
  for (const name of RATES)
    row[name] = Math.max(0, board.totals[name] - before.totals[name]) / secs;
  for (const [name, share] of Object.entries(PERCENTILES))
    row[name as keyof typeof PERCENTILES] =
      percentile(buckets, board.latencyBoundsUs, share) ?? null;
  return row;
}

function gauges({ workers }: Board): Pick<Row, (typeof GAUGES)[number]> {
  const open = sum(workers, (worker) => worker.gauges.openConnections);
  const webSockets = sum(workers, (worker) => worker.gauges.openWebSockets);
  return { webSockets, http: Math.max(0, open - webSockets) };
}

function ratesOfVhosts(before: Board, board: Board): Map<string, number> {
  const secs = (board.now - before.now) / 1000;
  const known = new Map(before.vhosts.map(({ key, counters }) => [key, counters.requests]));
  return new Map(
    board.vhosts.flatMap(({ key, counters }) => {
      const requests = known.get(key);
      return requests === undefined ? [] : [[key, (counters.requests - requests) / secs]];
    }),
  );
}
