import assert from "node:assert/strict";
import { test } from "node:test";
import { startPortico, waitUntil } from "../helpers/server.ts";

test("each mount of programs has statistics of its own, over all workers", async (t) => {
  const answer = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nfine'\n";
  const mounts = [
    { mountpoint: "/good", origin: "cgi://./good.cgi" },
    { mountpoint: "/bad", origin: "cgi://./bad.cgi" },
    { mountpoint: "/idle", origin: "cgi://./good.cgi" },
  ];
  const portico = await startPortico(t, {
    conf: { vhosts: [{ name: "localhost", port: 0, mounts }] },
    files: { "good.cgi": answer, "bad.cgi": "#!/bin/sh\necho nothing\n" },
    workers: 2,
    expect: [/^CGI program failed/],
  });
  for (let count = 0; count < 20; count += 1)
    assert.equal((await fetch(`${portico.url()}/good`)).status, 200);
  assert.equal((await fetch(`${portico.url()}/bad`)).status, 502);
  const seen = await waitUntil("all to be counted", async () => {
    const board = await portico.status();
    const [good, bad, idle] = board.vhosts[0]?.mounts ?? [];
    const isAll = good?.cgi?.started === 20 && good.cgi.alive === 0 && bad?.cgi?.failed === 1;
    return isAll && { board, good: good.cgi, bad: bad.cgi, idle: idle?.cgi };
  });
  assert.equal(seen.good.failed, 0);
  assert.equal(seen.bad.started, 1);
  assert.equal(seen.idle, undefined);
  assert.deepEqual([seen.board.counters.cgiStarted, seen.board.counters.cgiFailed], [21, 1]);
  // A shell has less memory than the worker, so its peak is not known.
  assert.equal(seen.good.peakBytes, 0);
});
