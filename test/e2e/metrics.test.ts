// metrics:// tells what clients did, the same as the board; it survives a worker that is killed and a reload.

import assert from "node:assert/strict";
import test from "node:test";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";

const vhost = {
  name: "a.test",
  port: 0,
  interface: "127.0.0.1",
  mounts: [
    { mountpoint: "/", origin: "file://public" },
    { mountpoint: "/metrics", origin: "metrics://" },
    { mountpoint: "/secret", origin: "metrics://", deny: ["127.0.0.1"] },
  ],
};
const files = { "public/index.html": "hello" };
const expect = [/^Worker died/];

async function scrape(portico: Portico, accept?: string): Promise<Response> {
  return fetch(`${portico.url()}/metrics`, {
    headers: { connection: "close", ...(accept !== undefined && { accept }) },
  });
}

async function read(portico: Portico, name: string): Promise<number> {
  const text = await (await scrape(portico)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

test("metrics:// is OpenMetrics by default, the older text where a client likes it better", async (t) => {
  const portico = await startPortico(t, { conf: { vhosts: [vhost] }, files, workers: 2 });
  const open = await scrape(portico);
  assert.equal(open.status, 200);
  const openType = "application/openmetrics-text; version=1.0.0; charset=utf-8";
  assert.equal(open.headers.get("content-type"), openType);
  assert.equal(open.headers.get("cache-control"), "no-store");
  assert.match(await open.text(), /\n# EOF\n$/);

  const old = await scrape(portico, "text/plain");
  assert.equal(old.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assert.match(await old.text(), /^# TYPE portico_http_requests_total counter$/m);

  const prometheus =
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
  assert.equal((await scrape(portico, prometheus)).headers.get("content-type"), openType);

  const head = await fetch(`${portico.url()}/metrics`, { method: "HEAD" });
  assert.equal(head.status, 200);
  const post = await fetch(`${portico.url()}/metrics`, { method: "POST" });
  assert.equal(post.status, 405);
  assert.equal(post.headers.get("allow"), "GET, HEAD");
  assert.equal((await fetch(`${portico.url()}/metrics/x`)).status, 404);
  assert.equal((await fetch(`${portico.url()}/secret`)).status, 403);
});

test("metrics:// counts what clients did, one series per vhost, and never less after a death or a reload", async (t) => {
  const portico = await startPortico(t, {
    conf: { vhosts: [vhost] },
    files,
    workers: 2,
    expect,
  });
  const name = 'portico_http_requests_total{vhost="a.test:0"}';
  for (let n = 0; n < 20; n += 1)
    await (await fetch(portico.url(), { headers: { connection: "close" } })).text();
  // Its own scrapes are requests too.
  await waitUntil("all to be counted", async () => (await read(portico, name)) >= 20);
  const text = await (await scrape(portico)).text();
  const series = text.split("\n").filter((line) => line.startsWith("portico_http_requests_total"));
  assert.equal(series.length, 1, series.join("\n"));

  const victim = (await portico.status()).workers[0];
  assert.ok(victim);
  const before = await read(portico, name);
  process.kill(victim.pid, "SIGKILL");
  await waitUntil(
    "a restart",
    async () => (await read(portico, "portico_worker_restarts_total")) === 1,
  );
  const afterDeath = await read(portico, name);
  assert.ok(afterDeath >= before, `${afterDeath} < ${before}`);

  assert.equal((await portico.control("reload")).ok, true);
  const afterReload = await read(portico, name);
  assert.ok(afterReload >= afterDeath, `${afterReload} < ${afterDeath}`);
  assert.equal(await read(portico, "portico_last_reload_success"), 1);
  const all = await read(portico, "portico_http_all_requests_total");
  const board = await portico.status();
  assert.ok(all <= board.totals.requests);
  const [minute] = board.recent;
  assert.equal(minute?.secs, 60);
  assert.ok(minute.requestsPerSec * minute.measuredSecs >= 20, JSON.stringify(minute));
  assert.ok(minute.p50Us !== null && minute.p99Us !== null && minute.p50Us <= minute.p99Us);
});
