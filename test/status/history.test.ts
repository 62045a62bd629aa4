import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LATENCY_BOUNDS_US } from "../../ipc/stats.ts";
import { createHistory, HISTORY_SECS, MAX_ROWS } from "../../status/source/history.ts";
import { board, STARTED_AT, worker } from "../helpers/boards.ts";

/** Latency buckets with so many requests in those of the given upper bounds; Infinity is the last one. */
function buckets(counts: Readonly<Record<number, number>>): number[] {
  return [...LATENCY_BOUNDS_US, Infinity].map((bound) => counts[bound] ?? 0);
}

suite("createHistory", () => {
  test("makes rates of two boards, by the server's clock", () => {
    const history = createHistory();
    assert.equal(history.add(board({ at: 10, totals: { requests: 100, rx: 5_000 } })), true);
    assert.equal(history.rows[0]?.requests, null, "one board is no rate");
    history.add(
      board({ at: 12, totals: { requests: 150, rx: 6_000, status2xx: 40, status4xx: 10 } }),
    );
    const row = history.rows[1];
    assert.deepEqual(
      [row?.requests, row?.rx, row?.tx, row?.status2xx, row?.status4xx, row?.status5xx],
      [25, 500, 0, 20, 5, 0],
    );
    assert.deepEqual(
      history.times.map((time) => time - STARTED_AT / 1000),
      [10, 12],
    );
  });

  test("tells WebSockets from other connections, over all workers", () => {
    const history = createHistory();
    history.add(board({ at: 1, workers: [worker(7, 3), worker(2, 1)] }));
    assert.equal(history.rows[0]?.webSockets, 4);
    assert.equal(history.rows[0]?.http, 5);
  });

  test("takes percentiles of what came between two boards, and none where nothing came", () => {
    const history = createHistory();
    history.add(board({ at: 1, latency: buckets({ 1_000_000: 1_000 }) }));
    history.add(board({ at: 2, latency: buckets({ 1_000_000: 1_000, 100: 90, 1_000: 10 }) }));
    history.add(board({ at: 3, latency: buckets({ 1_000_000: 1_000, 100: 90, 1_000: 10 }) }));
    assert.equal(history.rows[1]?.p90, 100);
    assert.equal(history.rows[1]?.p99, 950);
    assert.equal(history.rows[2]?.p99, null);
  });

  test("knows the rate of each vhost only between boards that both have it", () => {
    const history = createHistory();
    history.add({ ...board({ at: 1 }), vhosts: [] });
    history.add(board({ at: 2, vhostRequests: 40 }));
    assert.deepEqual([...history.vhostRates], []);
    history.add(board({ at: 4, vhostRequests: 60 }));
    assert.deepEqual([...history.vhostRates], [["a.test:80", 10]]);
  });

  test("leaves a gap where the connection was lost", () => {
    const history = createHistory();
    const totals = { requests: 0 };
    for (const at of [1, 2]) history.add(board({ at, totals, workers: [worker(1, 0)] }));
    history.interrupt();
    for (const at of [9, 10])
      history.add(board({ at, totals: { requests: at }, workers: [worker(1, 0)] }));
    assert.deepEqual(
      history.rows.map(({ requests }) => requests),
      [null, 0, null, null, 1],
    );
    assert.deepEqual(
      history.rows.map(({ http }) => http),
      [1, 1, null, 1, 1],
    );
    assert.ok(history.times.every((time, index) => time > (history.times[index - 1] ?? 0)));
  });

  test("leaves a gap where the server was started anew, and counts from there", () => {
    const history = createHistory();
    for (const at of [1, 2]) history.add(board({ at, totals: { requests: 1_000 } }));
    history.interrupt();
    assert.equal(history.add(board({ at: 5, totals: { requests: 3 }, pid: 7 })), true);
    history.add(board({ at: 6, totals: { requests: 5 }, pid: 7 }));
    assert.deepEqual(
      history.rows.map(({ requests }) => requests),
      [null, 0, null, null, 2],
    );
  });

  test("refuses an older board that a new connection begins with, so that no counter goes back", () => {
    const history = createHistory();
    for (const at of [1, 2]) history.add(board({ at, totals: { requests: at } }));
    history.interrupt();
    assert.equal(history.add(board({ at: 1.5, totals: { requests: 1 } })), false);
    assert.equal(history.add(board({ at: 2, totals: { requests: 2 } })), false);
    assert.equal(history.rows.length, 2);
    assert.equal(history.add(board({ at: 3, totals: { requests: 3 } })), true);
  });

  test("starts anew when the server's clock is set back", () => {
    const history = createHistory();
    for (const at of [100, 101]) history.add(board({ at, totals: { requests: at } }));
    assert.equal(history.add(board({ at: 50, totals: { requests: 102 } })), true);
    history.add(board({ at: 51, totals: { requests: 104 } }));
    assert.deepEqual(
      history.rows.map(({ requests }) => requests),
      [null, 2],
    );
  });

  test("keeps ten minutes, and never more rows than its limit", () => {
    const slow = createHistory();
    for (let at = 0; at < 2 * HISTORY_SECS; at += 10) slow.add(board({ at }));
    assert.equal((slow.times.at(-1) ?? 0) - (slow.times[0] ?? 0), HISTORY_SECS);
    const fast = createHistory();
    for (let row = 0; row < 2 * MAX_ROWS; row += 1) fast.add(board({ at: row / 10 }));
    assert.equal(fast.rows.length, MAX_ROWS);
    assert.equal(fast.times.length, MAX_ROWS);
  });
});
