import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyVhostCounters } from "../../ipc/stats.ts";
import { createRecentBoards, RECENT_SECS } from "../../status/source/recent.ts";
import type { Board } from "../../status/source/board.ts";
import { board, MOUNT, worker } from "../helpers/boards.ts";

const listeners: Board["listeners"] = [];

function at(secs: number, requests: number): Board {
  const counters = { ...emptyVhostCounters(), requests, tx: 10 * requests };
  counters.latency[0] = requests;
  const made = board({ at: secs, workers: [{ ...worker(1, 0), counters }] });
  return {
    ...made,
    listeners,
    vhosts: made.vhosts.map((vhost) => ({
      ...vhost,
      counters,
      mounts: [
        {
          ...MOUNT,
          ...(requests > 0 && { counters }),
        },
      ],
    })),
  };
}

test("createRecentBoards tells what was done within the last seconds", () => {
  const recent = createRecentBoards();
  assert.equal(recent.vhost(0).requests, undefined);
  recent.add(at(1, 0));
  assert.equal(recent.vhost(0).requests, undefined, "one board is no rate");
  recent.add(at(3, 20));
  const done = recent.vhost(0);
  assert.deepEqual([done.requests, done.sent, done.quantile(0.5)], [10, 100, 50]);
  // A mount, and a worker, begin with nothing.
  assert.equal(recent.mount(0, 0).requests, 10);
  assert.equal(recent.worker(1).requests, 10);
  for (let secs = 4; secs < 60; secs += 1) recent.add(at(secs, 20));
  assert.deepEqual([recent.vhost(0).requests, recent.vhost(0).quantile(0.5)], [0, undefined]);
  recent.add(at(60, 20 + RECENT_SECS * 3));
  assert.equal(recent.vhost(0).requests, 3);
});

test("createRecentBoards starts anew when a reload describes vhosts anew, or the server is another", () => {
  const recent = createRecentBoards();
  for (const next of [
    { ...at(3, 20), listeners: [] },
    { ...at(3, 20), pid: 99 },
  ]) {
    recent.clear();
    recent.add(at(1, 0));
    recent.add(at(2, 10));
    assert.equal(recent.vhost(0).requests, 10);
    recent.add(next);
    assert.equal(recent.vhost(0).requests, undefined);
  }
});
