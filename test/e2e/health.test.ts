// health:// is 200 while every worker of the generation serves, and 503 from the moment one does not.

import assert from "node:assert/strict";
import test from "node:test";
import { startPortico, waitUntil } from "../helpers/server.ts";
import { connect, type Reply } from "../helpers/wire.ts";

const vhost = {
  name: "a.test",
  port: 0,
  interface: "127.0.0.1",
  mounts: [{ mountpoint: "/health", origin: "health://" }],
};
const GET = "GET /health HTTP/1.1\r\nHost: a.test\r\n\r\n";
const expect = [/^Worker died/, /^Worker leaves/];

test("health:// is 503 while a worker is missing, and 200 once its successor serves", async (t) => {
  const portico = await startPortico(t, { conf: { vhosts: [vhost] }, workers: 2, expect });
  const health = async (): Promise<number> =>
    (await fetch(`${portico.url()}/health`, { headers: { connection: "close" } })).status;
  await waitUntil("health", async () => (await health()) === 200);
  const healthy = await fetch(`${portico.url()}/health`);
  assert.equal(await healthy.text(), "ok\n");
  assert.equal(healthy.headers.get("cache-control"), "no-store");
  assert.equal((await fetch(`${portico.url()}/health`, { method: "POST" })).status, 405);
  assert.equal((await fetch(`${portico.url()}/health/x`)).status, 404);

  const seen = new Set<number>();
  const victim = (await portico.status()).workers[0];
  assert.ok(victim);
  process.kill(victim.pid, "SIGKILL");
  await waitUntil("it to be missed", async () => {
    seen.add(await health().catch(() => 0));
    return seen.has(503);
  });
  await waitUntil("health again", async () => (await health()) === 200);
});

test("health:// is 503 on a connection whose worker drains", async (t) => {
  const portico = await startPortico(t, { conf: { vhosts: [vhost] }, workers: 1 });
  const wire = await connect(portico.port());
  let asked = 0;
  const ask = async (): Promise<Reply | undefined> => {
    wire.write(GET);
    asked += 1;
    return (await wire.replies(asked)).at(-1);
  };
  assert.equal((await ask())?.status, 200);
  assert.equal((await portico.control("reload")).ok, true);
  // The worker hears of it when it hears of it; the last answer on a connection is the one that tells.
  const last = await waitUntil("the end of the drained worker", async () => {
    const reply = await ask();
    return reply?.headers.get("connection") === "close" ? reply : undefined;
  });
  assert.deepEqual([last.status, last.body], [503, "draining\n"]);
  // The generation that serves is fine.
  assert.equal((await fetch(`${portico.url()}/health`)).status, 200);
});
