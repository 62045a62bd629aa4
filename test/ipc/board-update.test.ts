import assert from "node:assert/strict";
import test from "node:test";
import type { Board } from "../../ipc/board.ts";
import { applyUpdate, describeChanges } from "../../ipc/board-update.ts";
import { board } from "../helpers/boards.ts";

function vhostsOf(count: number): Board["vhosts"] {
  const [vhost] = board({ at: 0 }).vhosts;
  assert.ok(vhost);
  return Array.from({ length: count }, (_, index) => ({ ...vhost, key: `${index}.test:80` }));
}

test("what describeChanges leaves out, applyUpdate has from before, as the same objects", () => {
  const first: Board = { ...board({ at: 1 }), vhosts: vhostsOf(1_000) };
  const whole = describeChanges(first, undefined);
  const mirrored = applyUpdate(undefined, whole);
  assert.deepEqual(mirrored, first);

  const [zero, one, ...rest] = first.vhosts;
  assert.ok(zero && one);
  const second: Board = { ...first, now: 2, vhosts: [zero, { ...one, port: 7 }, ...rest] };
  const update = describeChanges(second, first);
  assert.deepEqual([update.vhosts, update.listeners], [undefined, undefined]);
  assert.deepEqual(
    update.changed.map(([index]) => index),
    [1],
  );
  const next = applyUpdate(mirrored, update);
  assert.deepEqual(next, second);
  assert.equal(next.vhosts[0], mirrored.vhosts[0]);
  assert.equal(next.listeners, mirrored.listeners);
  // What somebody may still hold is as it was.
  assert.equal(mirrored.vhosts[1]?.port, 80);
});

test("describeChanges tells everything when there are more or fewer vhosts", () => {
  const first: Board = { ...board({ at: 1 }), vhosts: vhostsOf(3) };
  for (const count of [2, 4]) {
    const second: Board = { ...first, vhosts: vhostsOf(count), listeners: [] };
    const update = describeChanges(second, first);
    assert.equal(update.vhosts?.length, count);
    assert.deepEqual(applyUpdate(first, update), second);
  }
});
