import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { readMessage } from "../../status/source/message.ts";
import { board, MOUNT } from "../helpers/boards.ts";

const first = readMessage(JSON.stringify({ portico: board({ at: 1 }), l1: "0.10" }), undefined);

suite("readMessage", () => {
  test("takes what changed on top of what there was, and leaves that as it is", () => {
    assert.ok(first);
    const { board: before } = first;
    const counters = { ...board({ at: 2 }).totals, requests: 7 };
    const known = {
      ...before,
      vhosts: before.vhosts.map((vhost) => ({ ...vhost, mounts: [MOUNT] })),
    };
    const text = JSON.stringify({
      changes: { now: 5, changed: [[0, { counters, mounts: [[0, { counters }]] }]] },
    });
    const update = readMessage(text, known);
    const [vhost] = update?.board.vhosts ?? [];
    assert.equal(update?.board.now, 5);
    assert.equal(update.board.version, before.version);
    assert.equal(vhost?.counters.requests, 7);
    assert.equal(vhost.key, "a.test:80");
    assert.deepEqual(vhost.mounts, [{ ...MOUNT, counters }]);
    assert.equal(known.vhosts[0]?.counters.requests, 0);
    assert.equal(known.vhosts[0]?.mounts[0], MOUNT);
  });

  test("takes all vhosts anew where they are told", () => {
    assert.ok(first);
    const text = JSON.stringify({ changes: { vhosts: [] } });
    assert.deepEqual(readMessage(text, first.board)?.board.vhosts, []);
  });

  test("makes nothing of what is not from a Portico, or comes out of turn", () => {
    const change = JSON.stringify({ changes: { now: 5 } });
    for (const text of ["", "1", "null", "[]", "{}", '{"portico":1}', "<b>", change])
      assert.equal(readMessage(text, undefined), undefined, text);
    assert.ok(first);
    for (const changed of [[[99, { mounts: [] }]], [[0, { mounts: [[99, {}]] }]]]) {
      const update = readMessage(JSON.stringify({ changes: { changed } }), first.board);
      assert.equal(update?.board.vhosts.length, 1);
    }
  });
});
