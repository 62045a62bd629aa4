// What becomes of the access log while the server runs: removed, on a full disk, reopened.

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { startPortico, waitUntil } from "../helpers/server.ts";
import { fetchOnce } from "../helpers/traffic.ts";

const vhost = {
  name: "localhost",
  port: 0,
  interface: "127.0.0.1",
  mounts: [{ mountpoint: "/", origin: "file://public" }],
};
const files = { "public/small": "x" };
const expected = { status: 200, bytes: 1 };
const NOBODY = 65_534;
const ROOT_ONLY = { skip: process.getuid?.() !== 0 && "needs root" };

test(
  "an access log that was removed is made again by the supervisor, where workers may not",
  ROOT_ONLY,
  async (t) => {
    const portico = await startPortico(t, {
      conf: {
        global: { uid: NOBODY, gid: NOBODY },
        vhosts: [{ ...vhost, "access-log": "logs/access.log" }],
      },
      files: { ...files, "logs/README": "" },
      workers: 2,
      expect: [/is not the log file any more, and a new one fails: EACCES/],
    });
    const log = join(portico.directory, "logs/access.log");
    await fetchOnce(`${portico.url()}/small`, false, expected);
    rmSync(log);
    await waitUntil("a new log with lines in it", async () => {
      await fetchOnce(`${portico.url()}/small`, false, expected);
      return existsSync(log) && statSync(log).size > 0;
    });
    const { uid, mode } = statSync(log);
    assert.deepEqual([uid, mode & 0o777], [NOBODY, 0o640]);
    assert.equal((await portico.status()).counters.logLinesDropped, 0);
  },
);

test(
  '"-" is the standard output, which workers write to although they may not open it, and lines stay whole',
  ROOT_ONLY,
  async (t) => {
    const portico = await startPortico(t, {
      conf: {
        global: { uid: NOBODY, gid: NOBODY },
        vhosts: [
          { ...vhost, name: "one", "access-log": "-" },
          { ...vhost, name: "two", interface: "127.0.0.2", "access-log": "/dev/stdout" },
        ],
      },
      files,
      workers: 2,
      stdout: "pipe",
    });
    let text = "";
    portico.process.stdout?.setEncoding("latin1").on("data", (chunk) => (text += chunk));
    const urls = [portico.url("one"), portico.url("two").replace("127.0.0.1", "127.0.0.2")];
    const rounds = 100;
    for (let round = 0; round < rounds; round += 1)
      await Promise.all(urls.map((url) => fetchOnce(`${url}/small`, false, expected)));
    // There is nothing to reopen.
    assert.equal((await portico.control("reopen")).ok, true);
    assert.equal((await portico.control("reload")).ok, true);
    const ended = once(portico.process, "close");
    assert.equal(await portico.stop(), 0);
    await ended;
    const lines = text.split("\n");
    assert.equal(lines.pop(), "");
    assert.equal(lines.length, 2 * rounds);
    for (const line of lines)
      assert.match(line, /^127\.0\.0\.\d - - \[[^\]]+\] "GET \/small HTTP\/1\.1" 200 1 "-" "-"$/);
  },
);

test("a full disk costs log lines, which are counted, and no request", async (t) => {
  const portico = await startPortico(t, {
    conf: { vhosts: [{ ...vhost, "access-log": "/dev/full" }] },
    files,
    workers: 1,
    expect: [/^Cannot write to "\/dev\/full": lines will be lost/],
  });
  for (let n = 0; n < 200; n += 1) await fetchOnce(`${portico.url()}/small`, false, expected);
  await portico.log(/^Cannot write to "\/dev\/full"/);
  assert.equal(await portico.stop(), 0);
});

test("lines of many workers stay whole across SIGUSR1, and none is lost", async (t) => {
  const portico = await startPortico(t, {
    conf: { vhosts: [{ ...vhost, "access-log": "access.log" }] },
    files,
    workers: 2,
  });
  const log = join(portico.directory, "access.log");
  const url = `${portico.url()}/small`;
  const rounds = 4;
  const each = 50;
  for (let round = 0; round < rounds; round += 1) {
    await Promise.all(Array.from({ length: each }, () => fetchOnce(url, false, expected)));
    renameSync(log, `${log}.${round}`);
    portico.signal("SIGUSR1");
    await waitUntil("the new file", () => existsSync(log));
  }
  await portico.stop();
  const all = [log, ...Array.from({ length: rounds }, (_, round) => `${log}.${round}`)];
  const lines = all.flatMap((path) => readFileSync(path, "latin1").split("\n").filter(Boolean));
  assert.equal(lines.length, rounds * each);
  for (const line of lines)
    assert.match(line, /^127\.0\.0\.1 - - \[[^\]]+\] "GET \/small HTTP\/1\.1" 200 1 "-" "-"$/);
});
