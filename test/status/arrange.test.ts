import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createArranger, nextSort, UNSORTED } from "../../status/source/arrange.ts";

type Item = { readonly name: string; readonly count: number };

/** A table whose time stands still until it is moved. */
function start() {
  let now = 0;
  const arranger = createArranger(() => now);
  return {
    pass: (ms: number): void => void (now += ms),
    show: (
      items: readonly Item[],
      state: Partial<typeof UNSORTED> = {},
      more: { readonly isHeld?: boolean } = {},
    ): string => {
      const found = arranger.arrange({
        id: "t",
        items,
        keyOf: ({ name }) => name,
        state: { ...UNSORTED, ...state },
        valueOf: state.sort
          ? ({ name, count }) => (state.sort?.column === "count" ? count : name)
          : undefined,
        isFound: ({ name }, words) => name.includes(words),
        isHeld: more.isHeld ?? false,
      });
      return found.map(({ name }) => name).join(" ");
    },
  };
}

const items = (counts: Readonly<Record<string, number>>): Item[] =>
  Object.entries(counts).map(([name, count]) => ({ name, count }));
const byCount = { sort: { column: "count", isDescending: true } };

suite("createArranger", () => {
  test("leaves rows as they come, sorts by numbers and by names with numbers in them", () => {
    const { show } = start();
    const rows = items({ a2: 1, a10: 3, b: 2 });
    assert.equal(show(rows), "a2 a10 b");
    assert.equal(show(rows, byCount), "a10 b a2");
    assert.equal(show(rows, { sort: { column: "count", isDescending: false } }), "a2 b a10");
    assert.equal(show(rows, { sort: { column: "name", isDescending: false } }), "a2 a10 b");
  });

  test("keeps an order for a while, and longer while somebody is there; new rows come last", () => {
    const { show, pass } = start();
    assert.equal(show(items({ a: 1, b: 2 }), byCount), "b a");
    pass(4_000);
    assert.equal(show(items({ new: 9, a: 3, b: 2 }), byCount), "b a new");
    pass(60_000);
    assert.equal(show(items({ new: 9, a: 3, b: 2 }), byCount, { isHeld: true }), "b a new");
    assert.equal(show(items({ new: 9, a: 3, b: 2 }), byCount), "new a b");
  });

  test("sorts at once when it is asked for something else", () => {
    const { show } = start();
    show(items({ a: 1, b: 2 }), byCount);
    const upwards = { sort: { column: "count", isDescending: false } };
    assert.equal(show(items({ a: 5, b: 2 }), upwards, { isHeld: true }), "b a");
    assert.equal(show(items({ a: 5, b: 2 })), "a b");
    assert.equal(show(items({ a: 5, b: 2 }), byCount), "a b");
  });

  test("finds rows by words, whatever their case and the space around them", () => {
    const { show } = start();
    const rows = items({ alpha: 1, beta: 2, alphabet: 3 });
    assert.equal(show(rows, { filter: " ALPHA " }), "alpha alphabet");
    assert.equal(show(rows, { filter: "x" }), "");
    assert.equal(show(rows, { filter: "a", ...byCount }), "alphabet beta alpha");
  });
});

test("nextSort looks for the greatest number and the first name, then turns round, then ends", () => {
  for (const isNumber of [true, false]) {
    const first = nextSort(undefined, "x", isNumber);
    assert.deepEqual(first, { column: "x", isDescending: isNumber });
    const second = nextSort(first, "x", isNumber);
    assert.deepEqual(second, { column: "x", isDescending: !isNumber });
    assert.equal(nextSort(second, "x", isNumber), undefined);
    assert.deepEqual(nextSort(first, "y", false), { column: "y", isDescending: false });
  }
});
