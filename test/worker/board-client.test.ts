import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import test from "node:test";
import { HISTORY_COLUMNS, type Board } from "../../ipc/board.ts";
import { describeChanges } from "../../ipc/board-update.ts";
import { createBoardClient, type BoardClient } from "../../worker/board-client.ts";
import { board } from "../helpers/boards.ts";

/** A client, and what it says to the supervisor; `heard` resolves when it says something next. */
function start(clocks: { lingerMs?: number; patienceMs?: number } = {}) {
  const said: string[] = [];
  const ears = new EventEmitter();
  const channel = {
    send(name: string, body: unknown): boolean {
      said.push(`${name} ${JSON.stringify(body)}`);
      return ears.emit("said");
    },
  };
  return { client: createBoardClient(channel, clocks), said, heard: () => once(ears, "said") };
}

function show(client: BoardClient, next: Board, before?: Board): void {
  client.receive(describeChanges(next, before));
}

const ignore = (): void => {};

test("BoardClient asks once for all who watch, and looks away a while after the last has left", async () => {
  const { client, said, heard } = start({ lingerMs: 0 });
  const seen: [string, number][] = [];
  const leaveOne = client.watch(({ now }) => seen.push(["one", now]));
  const first = board({ at: 1 });
  show(client, first);
  // Whoever comes later has the board at once.
  const leaveOther = client.watch(({ now }) => seen.push(["other", now]));
  await Promise.resolve();
  assert.deepEqual(seen, [
    ["one", first.now],
    ["other", first.now],
  ]);
  leaveOne();
  leaveOne();
  leaveOther();
  assert.deepEqual(said, ['watch {"on":true}']);
  await heard();
  assert.deepEqual(said, ['watch {"on":true}', 'watch {"on":false}']);
  // What it was last told is old by now.
  client.watch(() => assert.fail("an old board"))();
  await Promise.resolve();
});

test("BoardClient says nothing however many come and go", () => {
  const { client, said } = start();
  for (let visit = 0; visit < 1_000; visit += 1) client.watch(ignore)();
  assert.deepEqual(said, ['watch {"on":true}']);
});

test("BoardClient fetches the history once for all who want it", async () => {
  const { client, said } = start();
  const asked = [client.readHistory(), client.readHistory()];
  const row = Float64Array.from({ length: HISTORY_COLUMNS }, (_, column) => column + 0.5);
  // Where the numbers begin in memory is not for the sender to say.
  const bytes = Buffer.concat([Buffer.alloc(3), Buffer.from(row.buffer)]).subarray(3);
  client.receiveHistory({ seconds: bytes, minutes: new Uint8Array() });
  for (const history of await Promise.all([...asked, client.readHistory()]))
    assert.deepEqual(history, { seconds: [[...row]], minutes: [] });
  assert.deepEqual(said, ["recall {}"]);
});

test("BoardClient waits for the history only so long", async () => {
  const { client } = start({ patienceMs: 0 });
  await assert.rejects(client.readHistory(), /no history/);
});
