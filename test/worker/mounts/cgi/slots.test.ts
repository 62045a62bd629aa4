import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpError } from "../../../../worker/http/exchange.ts";
import { Slots } from "../../../../worker/mounts/cgi/slots.ts";

const limits = { maxRunning: 1, maxWaiting: 2, maxWaitMs: 60_000, retryAfterSecs: 7 };
const nobody = new AbortController().signal;

function isRefusal(error: unknown): boolean {
  assert.ok(error instanceof HttpError);
  assert.equal(error.status, 503);
  assert.deepEqual(error.headers, [["Retry-After", "7"]]);
  return true;
}

test("Slots gives places, then queues, then refuses; who came first enters first", async () => {
  const slots = new Slots(limits, { refused: 0, queued: 0 });
  const entered: string[] = [];
  const enter = async (name: string): Promise<Disposable | undefined> => {
    const place = await slots.enter(nobody);
    entered.push(name);
    return place;
  };
  const first = await enter("first");
  const second = enter("second");
  const third = enter("third");
  await assert.rejects(slots.enter(nobody), isRefusal);
  first?.[Symbol.dispose]();
  (await second)?.[Symbol.dispose]();
  (await third)?.[Symbol.dispose]();
  assert.deepEqual(entered, ["first", "second", "third"]);
});

test("Slots forgets who leaves the queue, and gives no place to who has left", async () => {
  const slots = new Slots(limits, { refused: 0, queued: 0 });
  const first = await slots.enter(nobody);
  const gone = new AbortController();
  const leaving = slots.enter(gone.signal);
  const staying = slots.enter(nobody);
  await assert.rejects(slots.enter(nobody), isRefusal);
  gone.abort();
  const late = slots.enter(nobody); // There is room in the queue at once.
  first?.[Symbol.dispose]();
  assert.equal(await leaving, undefined);
  (await staying)?.[Symbol.dispose]();
  assert.ok(await late);
  assert.equal(await slots.enter(gone.signal), undefined);
});

test("Slots refuses who has waited too long", async () => {
  const slots = new Slots({ ...limits, maxWaitMs: 1 }, { refused: 0, queued: 0 });
  const first = await slots.enter(nobody);
  await assert.rejects(slots.enter(nobody), isRefusal);
  first?.[Symbol.dispose]();
  assert.ok(await slots.enter(nobody));
});

test("Slots refuses everybody once it is closed", async () => {
  const slots = new Slots(limits, { refused: 0, queued: 0 });
  await slots.enter(nobody);
  const waiting = slots.enter(nobody);
  slots.close();
  await assert.rejects(waiting, isRefusal);
  await assert.rejects(slots.enter(nobody), isRefusal);
});
