// Lists of addresses and networks, such as the proxies that are believed. Pure.

import { isIP } from "node:net";
import { anything, convert, shown, type Refuse } from "./shape.ts";

/** Stands for every client of a Unix socket, which has no address. */
export const UNIX_CLIENTS = "unix:";

/** Stands for every client, where a list may say so. */
export const ALL_CLIENTS = "all";

const WRITTEN = {
  title: "addresses and networks",
  type: ["string", "array"],
  items: { type: "string" },
};

export type NetworkOptions = {
  /** Whether "all" may stand in the list. */
  readonly takesAll?: true;
};

/** A network as "192.0.2.0/24", an address, or "unix:"; an array, or one string with commas between them. */
export function networks({ takesAll }: NetworkOptions = {}) {
  return convert(anything().meta(WRITTEN), (value, refuse): readonly string[] => {
    const isList = Array.isArray(value);
    const entries: readonly unknown[] = isList ? value : String(value).split(",");
    return entries.flatMap((entry, index) =>
      readNetwork(entry, takesAll, refuse, isList ? [index] : []),
    );
  });
}

function readNetwork(
  entry: unknown,
  takesAll: true | undefined,
  refuse: Refuse,
  at: (string | number)[],
): string[] {
  const text = typeof entry === "string" ? entry.trim() : "";
  if (takesAll && text === ALL_CLIENTS) return [text];
  const fault = networkFault(text);
  if (fault === undefined) return [text];
  refuse(`${fault}, got ${shown(entry)}`, at);
  return [];
}

function networkFault(text: string): string | undefined {
  if (text === UNIX_CLIENTS) return undefined;
  const [, address = "", bits] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = isIP(address);
  if (family === 0) return 'Expected an address, a network such as "192.0.2.0/24", or "unix:"';
  const most = family === 4 ? 32 : 128;
  return Number(bits ?? 0) <= most ? undefined : `Expected at most ${most} bits behind the slash`;
}
