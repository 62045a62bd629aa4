import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { startPortico, waitUntil, type Portico } from "../helpers/server.ts";

/** GET answers a value with the worker that knows it, PUT sets one, DELETE forgets it. */
const NOTES = `export default {
  name: "notes",
  start: ({ store, worker }) => ({
    async request(exchange, rest) {
      const headers = [["X-Worker", String(worker)], ["Connection", "close"]];
      const key = rest.slice(1);
      if (exchange.method === "DELETE") store.delete(key);
      if (exchange.method === "PUT") {
        let text = "";
        for await (const chunk of exchange.body) text += chunk;
        try {
          store.set(key, text);
        } catch (error) {
          return exchange.send(507, headers, error.message);
        }
      }
      const value = store.get(key);
      exchange.send(value ? 200 : 404, headers, value);
    },
  }),
};`;

function start(t: TestContext, workers: number): Promise<Portico> {
  return startPortico(t, {
    workers,
    conf: {
      global: { "plugin-dir": "plugins" },
      vhosts: [
        {
          name: "localhost",
          port: 0,
          mounts: [{ mountpoint: "/", origin: "callback://notes" }],
          "ws-protocols": { notes: {} },
        },
      ],
    },
    files: { "plugins/notes.mjs": NOTES },
  });
}

type Answer = { readonly status: number; readonly text: string; readonly worker: string };

async function ask(portico: Portico, key: string, init: RequestInit = {}): Promise<Answer> {
  const headers = { Connection: "close" };
  const response = await fetch(`${portico.url()}/${key}`, { ...init, headers });
  const worker = response.headers.get("x-worker") ?? "";
  return { status: response.status, text: await response.text(), worker };
}

/** Waits until each of `count` workers answers `expected`. */
async function everywhere(
  portico: Portico,
  key: string,
  count: number,
  expected: (answers: readonly Answer[]) => boolean,
): Promise<readonly Answer[]> {
  return waitUntil(`"${key}" to be settled everywhere`, async () => {
    const byWorker = new Map<string, Answer>();
    for (const answer of await Promise.all(Array.from({ length: 16 }, () => ask(portico, key))))
      byWorker.set(answer.worker, answer);
    const answers = [...byWorker.values()];
    return answers.length >= count && expected(answers) && answers;
  });
}

test("a value set in one worker is known in all, and outlives workers and generations", async (t) => {
  const portico = await start(t, 2);
  assert.equal((await ask(portico, "colour", { method: "PUT", body: "blue" })).text, "blue");
  const isBlue = (answers: readonly Answer[]) => answers.every(({ text }) => text === "blue");
  await everywhere(portico, "colour", 2, isBlue);

  assert.equal((await portico.control("reload")).ok, true);
  await everywhere(portico, "colour", 2, isBlue);

  assert.equal((await ask(portico, "colour", { method: "DELETE" })).status, 404);
  await everywhere(portico, "colour", 2, (answers) => answers.every((one) => one.status === 404));
});

test("of values set at the same time one holds everywhere", async (t) => {
  const portico = await start(t, 2);
  await Promise.all(
    Array.from({ length: 100 }, (_, n) => ask(portico, "race", { method: "PUT", body: String(n) })),
  );
  const answers = await everywhere(portico, "race", 2, ([first, ...others]) =>
    others.every(({ text }) => text === first?.text),
  );
  assert.match(answers[0]?.text ?? "", /^\d+$/);
});

test("a store takes so many keys and no more, and says so", async (t) => {
  const portico = await start(t, 1);
  for (let n = 0; n < 1_000; n += 100)
    await Promise.all(
      Array.from({ length: 100 }, (_, m) =>
        ask(portico, `key-${n + m}`, { method: "PUT", body: "x" }),
      ),
    );
  const { status, text } = await ask(portico, "one-more", { method: "PUT", body: "x" });
  assert.deepEqual([status, text], [507, "The store exceeds 1000 keys"]);
  const large = await ask(portico, "key-1", { method: "PUT", body: "x".repeat(64 * 1024 + 1) });
  assert.deepEqual([large.status, large.text], [507, "A value of the store exceeds 65536 bytes"]);
  assert.equal((await ask(portico, "key-999")).text, "x");
});
