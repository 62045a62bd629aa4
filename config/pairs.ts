// Names and values: response headers, CGI environment, plugin options. lwsws writes them as an array of
// objects, `[{"X-A": "1"}, {"X-B": "2"}]`; one object is taken as well.

import { anything, convert, shown, type Refuse } from "./shape.ts";

/** A header name and its value. */
export type HeaderPair = readonly [name: string, value: string];

export type PairRule<T> = (name: string, value: unknown, refuse: Refuse) => T | undefined;

const OBJECT = { type: "object" } as const;
const WRITTEN = {
  title: "names and values",
  type: ["object", "array"],
  items: OBJECT,
};

/** The pairs in order, each decoded by `rule`; names may repeat. */
export function pairs<T>(rule: PairRule<T>) {
  return convert(
    anything().meta(WRITTEN),
    (value, refuse): readonly (readonly [name: string, value: T])[] => {
      const isList = Array.isArray(value);
      const groups: readonly unknown[] = isList ? value : [value];
      const found: (readonly [string, T])[] = [];
      for (const [index, group] of groups.entries()) {
        if (typeof group !== "object" || group === null || Array.isArray(group)) {
          refuse(
            `Expected an object of names and values, got ${shown(group)}`,
            isList ? [index] : [],
          );
          continue;
        }
        for (const [name, member] of Object.entries(group)) {
          const at = isList ? [index, name] : [name];
          const decoded = rule(name, member, (message) => refuse(message, at));
          if (decoded !== undefined) found.push([name, decoded]);
        }
      }
      return found;
    },
  );
}

/** Response headers. Values become one character per byte, as they go on the wire (UTF-8 in the file, RFC 9110 5.5). */
export function headerPairs() {
  return pairs<string>((name, value, refuse) => {
    if (!TOKEN.test(name)) return refuse(`${shown(name)} is not a header name`);
    if (FRAMING.has(name.toLowerCase()))
      return refuse(`${name} is set by the server for each answer and cannot be configured`);
    return readText(value, refuse, headerFault)?.replace(/^[\t ]+|[\t ]+$/g, "");
  });
}

/** Environment variables of a CGI program. */
export function environmentPairs() {
  return pairs<string>((name, value, refuse) => {
    if (name === "" || /[=\0]/.test(name))
      return refuse(`${shown(name)} cannot be the name of an environment variable`);
    if (typeof value === "string" && value.includes("\0"))
      return refuse("An environment variable cannot hold a NUL character");
    return readText(value, refuse);
  });
}

/** Options for a protocol plugin, as written. */
export function optionPairs() {
  return convert(
    pairs<{ readonly as: unknown }>((_name, value) => ({ as: value })),
    (found, refuse): Readonly<Record<string, unknown>> => {
      const options = new Map<string, unknown>();
      for (const [name, { as }] of found) {
        if (options.has(name)) refuse(`The option ${shown(name)} is given twice`);
        options.set(name, as);
      }
      return Object.fromEntries(options);
    },
  );
}

/** Says why a text cannot be the value of a header. */
export function headerFault(value: string): string | undefined {
  // oxlint-disable-next-line no-control-regex -- RFC 9110 5.5 forbids them; CR and LF would split the response
  const match = /[\u0000-\u0008\u000a-\u001f\u007f]/.exec(value);
  if (!match) return undefined;
  const code = match[0].charCodeAt(0).toString(16).padStart(2, "0");
  return `A header value cannot hold the control character 0x${code}`;
}

/** Text as the bytes of its UTF-8 form, one character each. */
export function toByteString(value: string): string {
  return Buffer.from(value, "utf8").toString("latin1");
}

function readText(
  value: unknown,
  refuse: Refuse,
  fault?: (value: string) => string | undefined,
): string | undefined {
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean")
    return refuse(`Expected a string, got ${shown(value)}`);
  const found = String(value);
  const message = fault?.(found);
  if (message !== undefined) return refuse(message);
  return fault ? toByteString(found) : found;
}

/** RFC 9110 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** A configured one would contradict the framing of the message. */
const FRAMING: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
]);
