import assert from "node:assert/strict";
import test from "node:test";
import { HISTORY_COLUMNS, HISTORY_GAUGES, type HistoryGauges } from "../../ipc/board.ts";
import { emptyVhostCounters, LATENCY_BOUNDS_US, type VhostCounters } from "../../ipc/stats.ts";
import { History, percentile } from "../../supervisor/history.ts";

const SECOND = 1_000;
const DAY_SECS = 86_400;

const GAUGES = Object.fromEntries(HISTORY_GAUGES.map((name) => [name, 0])) as HistoryGauges;

/** Totals of a server that did so many requests, all within the first bucket. */
function after(requests: number): VhostCounters {
  const sum = emptyVhostCounters();
  sum.latency[0] = requests;
  return { ...sum, requests, tx: requests * 10 };
}

test("History tells only spans that a young server has more of", () => {
  const history = new History();
  assert.deepEqual(history.windows(0, after(0)), []);
  history.record(0, after(0), GAUGES);
  const [minute, ...longer] = history.windows(30 * SECOND, after(60));
  assert.deepEqual(longer, []);
  assert.deepEqual(
    [minute?.secs, minute?.measuredSecs, minute?.requestsPerSec, minute?.txPerSec, minute?.p50Us],
    [60, 30, 2, 20, 50],
  );
});

test("History knows each span exactly after more than a day, a second of which was missed", () => {
  const history = new History();
  const end = DAY_SECS + 1_000;
  // One request a second, but ten in the last minute.
  const done = (second: number): number => second + 9 * Math.max(0, second - (end - 60));
  for (let second = 0; second < end; second += 1)
    if (second !== end - 30) history.record(second * SECOND, after(done(second)), GAUGES);
  const windows = history.windows(end * SECOND, after(done(end)));
  assert.deepEqual(
    windows.map(({ secs, measuredSecs }) => [secs, measuredSecs]),
    [
      [60, 60],
      [600, 600],
      [3_600, windows[2]?.measuredSecs],
      [DAY_SECS, windows[3]?.measuredSecs],
    ],
  );
  assert.equal(windows[0]?.requestsPerSec, 10);
  assert.equal(windows[1]?.requestsPerSec, (600 + 540) / 600);
  for (const window of windows.slice(2)) {
    // By minute, so up to a minute more or less.
    assert.ok(Math.abs(window.measuredSecs - window.secs) <= 60, `${window.measuredSecs}`);
    const expected = (window.measuredSecs + 540) / window.measuredSecs;
    assert.ok(Math.abs(window.requestsPerSec - expected) < 0.01, `${window.requestsPerSec}`);
  }
});

test("History hands out its rows, the oldest first, by another clock", () => {
  const history = new History();
  for (let second = 0; second < 700; second += 1)
    history.record(second * SECOND, after(second), { ...GAUGES, openConnections: second });
  const { seconds, minutes } = history.rows(1_000_000);
  assert.equal(seconds.length / HISTORY_COLUMNS, 601);
  assert.equal(minutes.length / HISTORY_COLUMNS, 12);
  const last = seconds.subarray(-HISTORY_COLUMNS);
  assert.deepEqual([seconds[0], last[0]], [1_000_000 + 99 * SECOND, 1_000_000 + 699 * SECOND]);
  assert.deepEqual([last[1], last.at(-HISTORY_GAUGES.length)], [699, 699]);
  assert.deepEqual([minutes[0], minutes[HISTORY_COLUMNS]], [1_000_000, 1_060_000]);
});

test("percentile goes straight through a bucket; what is beyond the last bound is at least that", () => {
  const buckets = new Float64Array(LATENCY_BOUNDS_US.length + 1);
  assert.equal(percentile(buckets, 0.5), null);
  buckets[1] = 100;
  assert.equal(percentile(buckets, 0.5), 175);
  buckets[LATENCY_BOUNDS_US.length] = 100;
  assert.equal(percentile(buckets, 0.99), LATENCY_BOUNDS_US.at(-1));
});
