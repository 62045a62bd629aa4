// docs/configuration.md: a hand-written text around tables that are drawn from the kinds of objects and their shapes. Pure.

import type { InertKeys } from "./inert-keys.ts";
import { globalKind, mountKind, protocolKind, vhostKind } from "./kinds.ts";
import type { Kind } from "./members.ts";
import { keysOfSchemes } from "./mount.ts";
import { describeKeys, type KeyFacts } from "./shape.ts";

/** What the text may ask for by a line of its own: `<!-- global -->`, `<!-- global: inert -->`. */
const TABLES: Readonly<Record<string, () => string>> = {
  global: () => keyTable(globalKind),
  "global: inert": () => inertTable(globalKind.inert),
  vhost: () => keyTable(vhostKind),
  "vhost: inert": () => inertTable(vhostKind.inert),
  mount: mountTables,
  "mount: inert": () => inertTable(mountKind.inert),
  protocol: () => keyTable(protocolKind),
  "protocol: inert": () => inertTable(protocolKind.inert),
};

const MARK = /^<!-- (.+) -->$/gm;

/** Fills the tables into the text. Throws where the text asks for one that there is not, or leaves one out. */
export function renderManual(text: string): string {
  const wanted = new Set([...text.matchAll(MARK)].map(([, name = ""]) => name));
  const missing = Object.keys(TABLES).filter((name) => !wanted.has(name));
  if (missing.length > 0) throw new Error(`The text has no place for: ${missing.join(", ")}`);
  const filled = text.replace(MARK, (mark, name: string) => {
    const make = TABLES[name];
    if (!make) throw new Error(`Unknown table: ${mark}`);
    return make();
  });
  return `<!-- Made by "npm run docs" from config/manual.md and the tables of keys. -->\n\n${filled}`;
}

/** What mounts of all kinds take, then what only some do. */
function mountTables(): string {
  const schemesOf = (key: string): string =>
    (keysOfSchemes[key] ?? []).map(schemeName).join(" or ");
  const groups = Map.groupBy(describeKeys(mountKind.shape), ([key]) => schemesOf(key));
  return [...groups]
    .toSorted(([a], [b]) => Number(a !== "") - Number(b !== ""))
    .map(([schemes, keys]) => {
      const rows = keyRows(mountKind, keys);
      return schemes === "" ? rows : `#### Only for ${schemes}\n\n${rows}`;
    })
    .join("\n\n");
}

function schemeName(scheme: string): string {
  return scheme === "redirect" ? "`>http://` or `>https://`" : `\`${scheme}://\``;
}

function keyTable(kind: Kind): string {
  return keyRows(kind, [...describeKeys(kind.shape)]);
}

function keyRows(kind: Kind, keys: readonly (readonly [string, KeyFacts])[]): string {
  const isWhole = keys.length === Object.keys(kind.shape.shape).length;
  const others = isWhole ? Object.entries(kind.others) : [];
  return table(
    ["key", "value", "default", ""],
    [
      ...keys.map(([key, facts]) => [
        code(key),
        valueKind(facts),
        defaultText(facts),
        prose(facts.description) + exampleText(key, facts),
      ]),
      ...others.map(([key, description]) => [code(key), "", "", prose(description)]),
    ],
  );
}

function valueKind({ schema }: KeyFacts): string {
  const { title, items } = schema as { title?: string; items?: { title?: string } };
  return title ?? items?.title ?? "";
}

function defaultText({ fallback, isRequired }: KeyFacts): string {
  if (isRequired) return "**needed**";
  if (typeof fallback === "boolean") return fallback ? "on" : "off";
  if (typeof fallback === "string" || typeof fallback === "number") return code(String(fallback));
  return "";
}

function exampleText(key: string, { examples }: KeyFacts): string {
  if (examples.length === 0) return "";
  const written = examples.map((example) => code(`"${key}": ${inOneLine(example)}`));
  return ` For example ${written.join(", ")}.`;
}

/** As somebody would write it: with a space after each colon and comma. */
function inOneLine(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inOneLine).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(
    ([key, member]) => `${JSON.stringify(key)}: ${inOneLine(member)}`,
  );
  return `{ ${members.join(", ")} }`;
}

/** Keys about which the same is said share a row. */
function inertTable(inert: InertKeys): string {
  const groups = Map.groupBy(Object.entries(inert), ([, { says }]) => says);
  return table(
    ["key", "what is said at start"],
    [...groups].map(([says, keys]) => {
      const names = keys.map(([key]) => code(key)).join(", ");
      const isGuard = keys.some(([, { isGuard: guards }]) => guards);
      return [
        names,
        isGuard ? `**Refused:** ${says}, and without it this would stand open` : prose(says),
      ];
    }),
  );
}

/** A description is plain text; stars and angle brackets in it mean themselves. */
function prose(text: string): string {
  return text.replace(/[*<]/g, "\\$&");
}

function code(text: string): string {
  return `\`${text}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
