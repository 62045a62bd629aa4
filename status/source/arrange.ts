// Which rows of a table are shown, and in which order. Rows that are sorted by numbers that change would jump about: an order stays
// for some seconds, and as long as somebody points at it.

export type Sort = { readonly column: string; readonly isDescending: boolean };

/** How the visitor wants a table. */
export type TableState = {
  readonly sort: Sort | undefined;
  readonly filter: string;
  /** Rows shown at most. */
  readonly limit: number;
};

/** Rows shown of a table nobody has asked to see more of. */
export const FIRST_ROWS = 50;
/** As the server has them. */
export const UNSORTED: TableState = { sort: undefined, filter: "", limit: FIRST_ROWS };

/** An order that is older is made anew. */
const ORDER_MS = 5_000;

export type Arrangeable<Item> = {
  readonly id: string;
  readonly items: readonly Item[];
  readonly keyOf: (item: Item) => string | number;
  readonly state: TableState;
  /** What rows are sorted by; undefined as the server has them. */
  readonly valueOf: ((item: Item) => number | string) | undefined;
  /** Whether a row has to do with the words in lower case. */
  readonly isFound: (item: Item, words: string) => boolean;
  /** Whether somebody points at its rows. */
  readonly isHeld: boolean;
};

export type Arranger = {
  /** All rows that are found, in order. */
  arrange<Item>(table: Arrangeable<Item>): readonly Item[];
};

type Order = {
  readonly of: string;
  readonly at: number;
  readonly places: ReadonlyMap<string | number, number>;
};

/** Remembers no order yet. */
export function createArranger(clock: () => number = () => performance.now()): Arranger {
  const orders = new Map<string, Order>();
  return {
    arrange({ id, items, keyOf, state, valueOf, isFound, isHeld }) {
      const words = state.filter.trim().toLowerCase();
      const found = words === "" ? items : items.filter((item) => isFound(item, words));
      const { sort } = state;
      if (!sort || !valueOf) {
        orders.delete(id);
        return found;
      }
      const of = `${sort.column} ${sort.isDescending} ${words}`;
      const known = orders.get(id);
      if (known?.of === of && (isHeld || clock() - known.at < ORDER_MS)) {
        const place = (item: (typeof found)[number]): number =>
          known.places.get(keyOf(item)) ?? Infinity;
        return found.toSorted((one, other) => compare(place(one), place(other)));
      }
      const direction = sort.isDescending ? -1 : 1;
      const sorted = found
        .map((item) => ({ item, value: valueOf(item) }))
        .toSorted((one, other) => direction * compare(one.value, other.value))
        .map(({ item }) => item);
      const places = new Map(sorted.map((item, index) => [keyOf(item), index]));
      orders.set(id, { of, at: clock(), places });
      return sorted;
    },
  };
}

/** The next way to sort by a column: that which is looked for first, the other way round, not at all. */
export function nextSort(
  sort: Sort | undefined,
  column: string,
  isNumber: boolean,
): Sort | undefined {
  if (sort?.column !== column) return { column, isDescending: isNumber };
  return sort.isDescending === isNumber ? { column, isDescending: !isNumber } : undefined;
}

function compare(one: number | string, other: number | string): number {
  if (typeof one === "string" && typeof other === "string")
    return one.localeCompare(other, "en", { numeric: true });
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
