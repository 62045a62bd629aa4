// What was, as rows of numbers: the last minutes by second, the last day by minute. The server tells how things stood before the
// page came; from then on boards do. A rate exists only between two moments of one run of the server. Nothing here touches the page.

import { isSameRun, sum, type Board, type VhostCounters } from "./board.ts";
import type { SentHistory } from "./message.ts";
import { percentile } from "./percentile.ts";

/** How far back rows are kept. */
export const SECONDS_SPAN = 600;
export const MINUTES_SPAN = 24 * 3600;
/** Bounds them also when boards come faster than once a second. */
export const MAX_ROWS = 2_000;
/** Two boards that are nearer are one moment to the rows by minute. */
const MINUTE_SECS = 60;
/** Rows of the server come a little early or late, and boards that are nearer are one moment. */
const SLACK_SECS = 0.5;

/** In the order of the server's rows, behind the time. */
const COUNTERS = [
  "requests",
  "status1xx",
  "status2xx",
  "status3xx",
  "status4xx",
  "status5xx",
  "rx",
  "tx",
] as const satisfies (keyof VhostCounters)[];
/** Likewise, behind the latencies. */
const GAUGES = [
  "openConnections",
  "openWebSockets",
  "activeRequests",
  "cpuPercent",
  "memoryBytes",
  "loopLagMs",
] as const;
const PERCENTILES = { p50: 0.5, p90: 0.9, p99: 0.99 };

export type SeriesName =
  | (typeof COUNTERS)[number]
  | keyof typeof PERCENTILES
  | "http"
  | "webSockets"
  | "lag"
  | "cpu"
  | "memory";

/** Rates are per second, times in microseconds; null where there is nothing to know. */
export type Row = Readonly<Record<SeriesName, number | null>>;

/** Server's clock, in seconds since the epoch, ascending, and what belongs to each moment. */
export type Series = { readonly times: readonly number[]; readonly rows: readonly Row[] };

export type History = {
  /** Takes a board, with what was before where the server tells. False: it is older than the last one, and must not be shown. */
  add(board: Board, past?: SentHistory): boolean;
  /** What comes next is not connected to what came before. */
  interrupt(): void;
  readonly seconds: Series;
  /** The last row goes on until its minute is full. */
  readonly minutes: Series;
};

/** How things stood. */
type Moment = {
  readonly at: number;
  readonly counters: readonly number[];
  readonly latency: readonly number[];
  readonly gauges: Readonly<Record<(typeof GAUGES)[number], number>>;
};

const GAP = Object.fromEntries(
  [COUNTERS, Object.keys(PERCENTILES), ["http", "webSockets", "lag", "cpu", "memory"]]
    .flat()
    .map((name) => [name, null]),
) as Row;

/** An empty history. */
export function createHistory(): History {
  const seconds = createSeries(SECONDS_SPAN);
  const minutes = createSeries(MINUTES_SPAN);
  let bounds: readonly number[] = [];
  let newest: Board | undefined;
  /** The last moment by second, and by minute; undefined where nothing can be a difference to it. */
  let last: Moment | undefined;
  let lastMinute: Moment | undefined;

  function take(moment: Moment): void {
    if (!last) seconds.leaveGap(moment.at);
    seconds.push(moment.at, rowOf(last, moment, bounds));
    last = moment;
    if (!lastMinute) minutes.leaveGap(moment.at);
    minutes.replaceFrom(lastMinute?.at ?? Infinity, moment.at, rowOf(lastMinute, moment, bounds));
    if (!lastMinute || moment.at - lastMinute.at >= MINUTE_SECS - SLACK_SECS) lastMinute = moment;
  }

  /** In place of what the page has seen itself of that time. */
  function begin(past: SentHistory, board: Board): void {
    last = seconds.fill(momentsOf(past.seconds, board), bounds, isConnected(board));
    lastMinute = minutes.fill(momentsOf(past.minutes, board), bounds, isConnected(board));
  }

  function isConnected(board: Board): boolean {
    return newest !== undefined && isSameRun(newest, board);
  }

  return {
    seconds,
    minutes,
    interrupt() {
      last = undefined;
      lastMinute = undefined;
    },
    add(board, past) {
      bounds = board.latencyBoundsUs;
      if (newest !== undefined && board.now <= newest.now) {
        // The first message may be one that another worker had kept for its own clients: counters would go back.
        if (!last && isSameRun(newest, board)) {
          if (past) begin(past, board);
          return false;
        }
        // Otherwise the server's clock was set back, and time on the charts starts anew.
        seconds.clear();
        minutes.clear();
        last = undefined;
        lastMinute = undefined;
      }
      if (past) begin(past, board);
      else if (!isConnected(board)) last = lastMinute = undefined;
      const now = momentOf(board);
      // The history may be as new as the board, or newer: nothing happens within no time.
      if (!last || now.at - last.at >= SLACK_SECS) take(now);
      newest = board;
      return true;
    },
  };
}

type OwnSeries = Series & {
  push(at: number, row: Row): void;
  /** Where there are rows already, the next ones are not connected to them. */
  leaveGap(nextAt: number): void;
  /** Puts a row in the place of those after `from`. */
  replaceFrom(from: number, at: number, row: Row): void;
  /** Puts rows in the place of all since the first of them; returns the last moment. */
  fill(
    moments: readonly Moment[],
    bounds: readonly number[],
    connects: boolean,
  ): Moment | undefined;
  clear(): void;
};

function createSeries(spanSecs: number): OwnSeries {
  const times: number[] = [];
  const rows: Row[] = [];

  function push(at: number, row: Row): void {
    times.push(at);
    rows.push(row);
    while (rows.length > MAX_ROWS || (times[0] ?? at) < at - spanSecs) {
      times.shift();
      rows.shift();
    }
  }

  function cut(from: number): void {
    const index = times.findIndex((time) => time > from);
    if (index === -1) return;
    times.length = index;
    rows.length = index;
  }

  function leaveGap(nextAt: number): void {
    const last = times.at(-1);
    if (last !== undefined && rows.at(-1) !== GAP) push((last + nextAt) / 2, GAP);
  }

  return {
    times,
    rows,
    push,
    leaveGap,
    replaceFrom(from, at, row) {
      cut(from);
      push(at, row);
    },
    fill(moments, bounds, connects) {
      const [first] = moments;
      if (!first) return undefined;
      cut(first.at - SLACK_SECS);
      if (!connects) leaveGap(first.at);
      for (const [index, moment] of moments.entries())
        push(moment.at, rowOf(moments[index - 1], moment, bounds));
      return moments.at(-1);
    },
    clear() {
      times.length = 0;
      rows.length = 0;
    },
  };
}

function momentOf({ now, totals, workers }: Board): Moment {
  const gauge = (name: "openConnections" | "openWebSockets" | "activeRequests"): number =>
    sum(workers, ({ gauges }) => gauges[name]);
  return {
    at: now / 1000,
    counters: COUNTERS.map((name) => totals[name]),
    latency: totals.latency,
    gauges: {
      openConnections: gauge("openConnections"),
      openWebSockets: gauge("openWebSockets"),
      activeRequests: gauge("activeRequests"),
      cpuPercent: sum(workers, ({ cpuPercent }) => cpuPercent),
      memoryBytes: sum(workers, ({ memoryBytes }) => memoryBytes),
      loopLagMs: Math.max(0, ...workers.map(({ gauges }) => gauges.loopLagMs)),
    },
  };
}

/** Rows of the server as moments. */
function momentsOf(rows: SentHistory["seconds"], { latencyBoundsUs }: Board): Moment[] {
  const buckets = latencyBoundsUs.length + 1;
  const latencyAt = 1 + COUNTERS.length;
  let numbers: number[] = [];
  return rows.map((row) => {
    numbers = row.map((value, column) => value + (numbers[column] ?? 0));
    const gauges = numbers.slice(latencyAt + buckets);
    return {
      at: (numbers[0] ?? 0) / 1000,
      counters: numbers.slice(1, latencyAt),
      latency: numbers.slice(latencyAt, latencyAt + buckets),
      gauges: Object.fromEntries(
        GAUGES.map((name, index) => [name, gauges[index] ?? 0]),
      ) as Moment["gauges"],
    };
  });
}

function rowOf(before: Moment | undefined, moment: Moment, bounds: readonly number[]): Row {
  const { openConnections, openWebSockets, cpuPercent, memoryBytes, loopLagMs } = moment.gauges;
  // Before there are workers nobody knows, and a line from there would be a lie.
  const isKnown = memoryBytes > 0;
  const row: Record<SeriesName, number | null> = {
    ...GAP,
    ...(isKnown && {
      http: Math.max(0, openConnections - openWebSockets),
      webSockets: openWebSockets,
      lag: loopLagMs * 1000,
      cpu: cpuPercent,
      memory: memoryBytes,
    }),
  };
  const secs = before ? moment.at - before.at : 0;
  if (!before || secs <= 0) return row;
  for (const [index, name] of COUNTERS.entries())
    row[name] = Math.max(0, (moment.counters[index] ?? 0) - (before.counters[index] ?? 0)) / secs;
  const buckets = moment.latency.map((count, bucket) => count - (before.latency[bucket] ?? 0));
  for (const [name, share] of Object.entries(PERCENTILES))
    row[name as keyof typeof PERCENTILES] = percentile(buckets, bounds, share) ?? null;
  return row;
}
