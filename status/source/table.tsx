// A table that scrolls by itself on a small screen, also by keyboard.

export type Column<Item> = {
  readonly title: string;
  readonly text: (item: Item) => string;
  /** Numbers stand to the right. */
  readonly isNumber?: boolean;
  /** Shows the text as a badge of that name. */
  readonly isBadge?: boolean;
  /** May break into lines. */
  readonly isLong?: boolean;
};

export type TableProps<Item> = {
  readonly id: string;
  readonly title: string;
  readonly columns: readonly Column<Item>[];
  readonly items: readonly Item[];
  readonly keyOf: (item: Item) => string | number;
  /** Said instead of an empty table. */
  readonly empty: string;
};

export function Table<Item>({ id, title, columns, items, keyOf, empty }: TableProps<Item>) {
  return (
    <section class="card" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>{title}</h2>
      {items.length === 0 ? (
        <p class="faint">{empty}</p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-labelledby={`${id}-title`}>
          <table id={id}>
            <thead>
              <tr>
                {columns.map((column) => (
                  <th key={column.title} scope="col" class={classOf(column)}>
                    {column.title}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {items.map((item) => (
                <tr key={keyOf(item)}>
                  {columns.map((column) => (
                    <td key={column.title} class={classOf(column)}>
                      <Cell column={column} text={column.text(item)} />
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Cell<Item>({ column, text }: { readonly column: Column<Item>; readonly text: string }) {
  return column.isBadge === true ? <span class={`badge ${text}`}>{text}</span> : <>{text}</>;
}

function classOf<Item>({ isNumber, isLong }: Column<Item>): string {
  if (isNumber === true) return "number";
  return isLong === true ? "long" : "";
}
