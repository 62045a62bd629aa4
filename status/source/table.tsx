// A table that can be sorted, searched, and read to its end; it scrolls by itself on a small screen, also by keyboard.

import { FIRST_ROWS, nextSort, UNSORTED, type TableState } from "./arrange.ts";
import { whole } from "./format.ts";
import type { View } from "./view.ts";

/** A table that is shorter is seen at a glance. */
const SEARCHABLE_ROWS = 8;

export type Column<Item> = {
  /** Also the name to sort by. */
  readonly title: string;
  readonly text: (item: Item) => string;
  /** What the column is sorted by; its text where that is not given. */
  readonly value?: (item: Item) => number | string;
  /** Numbers stand to the right. */
  readonly isNumber?: boolean;
  /** Shows the text as a badge of that name. */
  readonly isBadge?: boolean;
  /** May break into lines. */
  readonly isLong?: boolean;
  /** Is cut where it is too long, and shown whole on request. */
  readonly isPath?: boolean;
  /** Stands in the same cell, smaller. */
  readonly note?: (item: Item) => string;
  /** Says more than the title has room for. */
  readonly hint?: string;
  /** Numbers that should be zero stand out where they are not. */
  readonly isBad?: (item: Item) => boolean;
};

export type TableProps<Item> = {
  readonly view: View;
  readonly id: string;
  readonly title: string;
  readonly columns: readonly Column<Item>[];
  readonly items: readonly Item[];
  readonly keyOf: (item: Item) => string | number;
  /** Said instead of an empty table. */
  readonly empty: string;
};

export function Table<Item>(props: TableProps<Item>) {
  const { view, id, title, columns, items, keyOf, empty } = props;
  const state = view.tables[id] ?? UNSORTED;
  const sorted = columns.find((column) => column.title === state.sort?.column);
  const found = view.arranger.arrange({
    id,
    items,
    keyOf,
    state,
    valueOf: sorted && (sorted.value ?? sorted.text),
    isFound: (item, words) =>
      columns.some(
        (column) =>
          column.isNumber !== true &&
          `${column.text(item)} ${column.note?.(item) ?? ""}`.toLowerCase().includes(words),
      ),
    isHeld: view.held === id,
  });
  const { hold } = view.actions;
  return (
    <section class="card" id={`${id}-section`} aria-labelledby={`${id}-title`}>
      <div class="head">
        <h2 id={`${id}-title`}>{title}</h2>
        {(items.length > SEARCHABLE_ROWS || state.filter !== "") && (
          <Search {...props} state={state} found={found.length} />
        )}
      </div>
      {items.length === 0 ? (
        <p class="faint">{empty}</p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-labelledby={`${id}-title`}>
          <table id={id}>
            <thead>
              <tr>
                {columns.map((column) => (
                  <Head key={column.title} {...props} column={column} state={state} />
                ))}
              </tr>
            </thead>
            <tbody onPointerEnter={() => hold(id)} onPointerLeave={() => hold(undefined)}>
              {found.slice(0, state.limit).map((item) => (
                <tr key={keyOf(item)}>
                  {columns.map((column, index) => (
                    <Cell key={column.title} column={column} item={item} isFirst={index === 0} />
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <More {...props} state={state} found={found.length} />
    </section>
  );
}

type Part<Item> = TableProps<Item> & { readonly state: TableState };

function Search<Item>(props: Part<Item> & { readonly found: number }) {
  const { view, id, title, items, state, found } = props;
  return (
    <>
      <p class="faint" role="status">
        {state.filter === "" ? whole(items.length) : `${whole(found)} of ${whole(items.length)}`}
      </p>
      <input
        type="search"
        placeholder="Filter"
        aria-label={`Filter: ${title}`}
        autocomplete="off"
        spellcheck={false}
        value={state.filter}
        onInput={(event) =>
          view.actions.changeTable(id, { filter: event.currentTarget.value, limit: FIRST_ROWS })
        }
      />
    </>
  );
}

function Head<Item>({
  view,
  id,
  column,
  state: { sort },
}: Part<Item> & { readonly column: Column<Item> }) {
  const { title, hint, isNumber = false } = column;
  const order = sort?.column !== title ? "none" : sort.isDescending ? "descending" : "ascending";
  return (
    <th scope="col" class={classOf(column)} aria-sort={order}>
      <button
        type="button"
        class="sort"
        title={hint}
        onClick={() => view.actions.changeTable(id, { sort: nextSort(sort, title, isNumber) })}
      >
        {title}
      </button>
    </th>
  );
}

function Cell<Item>(props: {
  readonly column: Column<Item>;
  readonly item: Item;
  readonly isFirst: boolean;
}) {
  const { column, item, isFirst } = props;
  const text = column.text(item);
  const note = column.note?.(item) ?? "";
  const content = (
    <>
      {column.isBadge === true ? <span class={`badge ${text}`}>{text}</span> : text}
      {note !== "" && <small>{note}</small>}
    </>
  );
  const isBad = column.isBad?.(item) === true;
  const name = `${classOf(column)}${isBad ? " bad" : ""}`;
  return isFirst ? (
    <th scope="row" class={name}>
      {content}
    </th>
  ) : (
    <td class={name} title={column.isPath === true ? text : undefined}>
      {content}
    </td>
  );
}

function More<Item>({ view, id, state, found }: Part<Item> & { readonly found: number }) {
  if (found <= FIRST_ROWS) return null;
  const isCut = found > state.limit;
  return (
    <p class="more">
      <button
        type="button"
        onClick={() => view.actions.changeTable(id, { limit: isCut ? Infinity : FIRST_ROWS })}
      >
        {isCut ? `Show all ${whole(found)}` : `Show the first ${FIRST_ROWS}`}
      </button>
    </p>
  );
}

function classOf<Item>({ isNumber, isLong, isPath }: Column<Item>): string {
  if (isNumber === true) return "number";
  if (isPath === true) return "path";
  return isLong === true ? "long" : "";
}
