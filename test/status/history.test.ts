import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { HISTORY_COUNTERS, HISTORY_GAUGES } from "../../ipc/board.ts";
import { emptyLatency, LATENCY_BOUNDS_US } from "../../ipc/stats.ts";
import {
  createHistory,
  MAX_ROWS,
  MINUTES_SPAN,
  SECONDS_SPAN,
  type Row,
} from "../../status/source/history.ts";
import type { SentHistory } from "../../status/source/message.ts";
import { board, STARTED_AT, worker } from "../helpers/boards.ts";

/** Latency buckets with so many requests in those of the given upper bounds; Infinity is the last one. */
function buckets(counts: Readonly<Record<number, number>>): number[] {
  return [...LATENCY_BOUNDS_US, Infinity].map((bound) => counts[bound] ?? 0);
}

type Past = { readonly at: number; readonly requests: number; readonly open?: number };

/** Rows as the server sends them, of a server with one worker. */
function sent(rows: readonly Past[]): number[][] {
  const absolute = rows.map(({ at, requests, open = 0 }) => [
    STARTED_AT + at * 1000,
    ...HISTORY_COUNTERS.map((name) => (name === "requests" ? requests : 0)),
    ...emptyLatency(),
    ...HISTORY_GAUGES.map((name) =>
      name === "openConnections" ? open : name === "memoryBytes" ? 1 : 0,
    ),
  ]);
  return absolute.map((row, index) =>
    row.map((value, column) => value - (absolute[index - 1]?.[column] ?? 0)),
  );
}

function past(seconds: readonly Past[], minutes: readonly Past[] = []): SentHistory {
  return { seconds: sent(seconds), minutes: sent(minutes) };
}

const requests = (rows: readonly Row[]): (number | null)[] => rows.map((row) => row.requests);
const since = (times: readonly number[]): number[] => times.map((time) => time - STARTED_AT / 1000);

suite("createHistory", () => {
  test("makes rates of two boards, by the server's clock", () => {
    const history = createHistory();
    const { rows, times } = history.seconds;
    assert.equal(history.add(board({ at: 10, totals: { requests: 100, rx: 5_000 } })), true);
    assert.equal(rows[0]?.requests, null, "one board is no rate");
    history.add(
      board({ at: 12, totals: { requests: 150, rx: 6_000, status2xx: 40, status4xx: 10 } }),
    );
    const row = rows[1];
    assert.deepEqual(
      [row?.requests, row?.rx, row?.tx, row?.status2xx, row?.status4xx, row?.status5xx],
      [25, 500, 0, 20, 5, 0],
    );
    assert.deepEqual(since(times), [10, 12]);
  });

  test("tells WebSockets from other connections, and adds up over all workers", () => {
    const history = createHistory();
    history.add(board({ at: 1, workers: [worker(7, 3), worker(2, 1)] }));
    const [row] = history.seconds.rows;
    assert.deepEqual([row?.webSockets, row?.http, row?.cpu, row?.memory], [4, 5, 20, 2_000]);
  });

  test("takes percentiles of what came between two boards, and none where nothing came", () => {
    const history = createHistory();
    history.add(board({ at: 1, latency: buckets({ 1_000_000: 1_000 }) }));
    history.add(board({ at: 2, latency: buckets({ 1_000_000: 1_000, 100: 90, 1_000: 10 }) }));
    history.add(board({ at: 3, latency: buckets({ 1_000_000: 1_000, 100: 90, 1_000: 10 }) }));
    const { rows } = history.seconds;
    assert.deepEqual([rows[1]?.p90, rows[1]?.p99, rows[2]?.p99], [100, 950, null]);
  });

  test("begins with what the server tells of the time before, and goes on from there", () => {
    const history = createHistory();
    const seconds = [
      { at: 1, requests: 0, open: 0 },
      { at: 2, requests: 10, open: 3 },
      { at: 3, requests: 30, open: 4 },
    ];
    const minutes = [
      { at: -119, requests: 0 },
      { at: -59, requests: 0 },
      { at: 1, requests: 0 },
    ];
    history.add(board({ at: 4, totals: { requests: 35 } }), past(seconds, minutes));
    assert.deepEqual(since(history.seconds.times), [1, 2, 3, 4]);
    assert.deepEqual(requests(history.seconds.rows), [null, 10, 20, 5]);
    assert.deepEqual(
      history.seconds.rows.map(({ http }) => http),
      [0, 3, 4, null],
    );
    assert.deepEqual(requests(history.minutes.rows), [null, 0, 0, 35 / 3]);
  });

  test("has no row for next to no time between what the server told and its board", () => {
    const history = createHistory();
    const told = past([
      { at: 1, requests: 0 },
      { at: 2, requests: 10 },
    ]);
    assert.equal(history.add(board({ at: 2.1, totals: { requests: 10 } }), told), true);
    history.add(board({ at: 3, totals: { requests: 30 } }));
    assert.deepEqual(requests(history.seconds.rows), [null, 10, 20]);
  });

  test("keeps a row by minute that grows until its minute is full", () => {
    const history = createHistory();
    for (let at = 0; at <= 150; at += 10)
      history.add(board({ at, totals: { requests: at <= 60 ? at : 2 * at - 60 } }));
    assert.deepEqual(since(history.minutes.times), [0, 60, 120, 150]);
    assert.deepEqual(requests(history.minutes.rows), [null, 1, 2, 2]);
    assert.equal(history.seconds.rows.length, 16);
  });

  test("fills the time without a connection with what the server tells of it", () => {
    const history = createHistory();
    for (const at of [1, 2]) history.add(board({ at, totals: { requests: at } }));
    history.interrupt();
    const told = past([
      { at: 1, requests: 1 },
      { at: 2, requests: 2 },
      { at: 3, requests: 4 },
      { at: 4, requests: 8 },
    ]);
    history.add(board({ at: 5, totals: { requests: 9 } }), told);
    assert.deepEqual(requests(history.seconds.rows), [null, 1, 2, 4, 1]);
  });

  test("leaves a gap where nobody knows what was in between", () => {
    const history = createHistory();
    for (const at of [1, 2]) history.add(board({ at, workers: [worker(1, 0)] }));
    history.interrupt();
    for (const at of [9, 10])
      history.add(board({ at, totals: { requests: at }, workers: [worker(1, 0)] }));
    const { rows, times } = history.seconds;
    assert.deepEqual(requests(rows), [null, 0, null, null, 1]);
    assert.deepEqual(
      rows.map(({ http }) => http),
      [1, 1, null, 1, 1],
    );
    assert.ok(times.every((time, index) => time > (times[index - 1] ?? 0)));
  });

  test("leaves a gap where the server was started anew, and counts from there", () => {
    const history = createHistory();
    for (const at of [1, 2]) history.add(board({ at, totals: { requests: 1_000 } }));
    history.interrupt();
    const told = past([
      { at: 5, requests: 0 },
      { at: 6, requests: 3 },
    ]);
    assert.equal(history.add(board({ at: 7, totals: { requests: 5 }, pid: 7 }), told), true);
    history.add(board({ at: 8, totals: { requests: 9 }, pid: 7 }));
    assert.deepEqual(requests(history.seconds.rows), [null, 0, null, null, 3, 2, 4]);
  });

  test("refuses an older board that a new connection begins with, so that no counter goes back", () => {
    const history = createHistory();
    for (const at of [1, 2]) history.add(board({ at, totals: { requests: at } }));
    history.interrupt();
    assert.equal(history.add(board({ at: 1.5, totals: { requests: 1 } })), false);
    assert.equal(history.add(board({ at: 2, totals: { requests: 2 } })), false);
    assert.equal(history.seconds.rows.length, 2);
    assert.equal(history.add(board({ at: 3, totals: { requests: 3 } })), true);
  });

  test("starts anew when the server's clock is set back", () => {
    const history = createHistory();
    for (const at of [100, 101]) history.add(board({ at, totals: { requests: at } }));
    assert.equal(history.add(board({ at: 50, totals: { requests: 102 } })), true);
    history.add(board({ at: 51, totals: { requests: 104 } }));
    assert.deepEqual(requests(history.seconds.rows), [null, 2]);
    assert.deepEqual(requests(history.minutes.rows), [null, 2]);
  });

  test("keeps ten minutes and a day, and never more rows than its limit", () => {
    const slow = createHistory();
    for (let at = 0; at < 2 * MINUTES_SPAN; at += 20) slow.add(board({ at }));
    const span = ({ times }: { times: readonly number[] }): number =>
      (times.at(-1) ?? 0) - (times[0] ?? 0);
    assert.equal(span(slow.seconds), SECONDS_SPAN);
    assert.ok(span(slow.minutes) <= MINUTES_SPAN && span(slow.minutes) > MINUTES_SPAN - 60);
    const fast = createHistory();
    for (let row = 0; row < 2 * MAX_ROWS; row += 1) fast.add(board({ at: row / 2 }));
    assert.ok(fast.seconds.rows.length <= MAX_ROWS);
    assert.equal(fast.seconds.times.length, fast.seconds.rows.length);
  });
});
