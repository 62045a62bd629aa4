// Columns that several tables have.

import { byteRate, bytes, micros, rate, whole } from "./format.ts";
import type { Recent } from "./recent.ts";
import type { Column } from "./table.tsx";

const WITHIN = "Of the last ten seconds";

/** A number with the way to write it. */
export function number<Item>(
  title: string,
  value: (item: Item) => number,
  write: (value: number) => string = whole,
  more: Partial<Column<Item>> = {},
): Column<Item> {
  return { title, value, text: (item) => write(value(item)), isNumber: true, ...more };
}

/** A number that should stay at zero. */
export function fault<Item>(title: string, value: (item: Item) => number): Column<Item> {
  return number(title, value, whole, { isBad: (item) => value(item) > 0 });
}

const SHARES = { p50: 0.5, p99: 0.99 };

/** What was done of late: requests, and how long they took. */
export function recentColumns<Item extends { readonly recent: Recent }>(
  ...times: readonly (keyof typeof SHARES)[]
): Column<Item>[] {
  return [
    {
      title: "Req/s",
      text: ({ recent }) => rate(recent.requests),
      value: ({ recent }) => recent.requests ?? -1,
      isNumber: true,
      hint: `${WITHIN}: requests per second`,
    },
    ...times.map((title): Column<Item> => {
      const share = SHARES[title];
      return {
        title,
        text: ({ recent }) => micros(recent.quantile(share)),
        value: ({ recent }) => recent.quantile(share) ?? -1,
        isNumber: true,
        hint: `${WITHIN}: time that ${share * 100} % of the requests did not exceed`,
      };
    }),
  ];
}

/** Bytes sent of late. */
export function sentColumn<Item extends { readonly recent: Recent }>(): Column<Item> {
  return {
    title: "Sent/s",
    text: ({ recent }) => byteRate(recent.sent),
    value: ({ recent }) => recent.sent ?? -1,
    isNumber: true,
    hint: `${WITHIN}: bytes per second`,
  };
}

/** Bytes in all. */
export function size<Item>(title: string, value: (item: Item) => number): Column<Item> {
  return number(title, value, bytes);
}
