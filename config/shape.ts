// The pieces that shapes of keys, messages and plugin options are made of. The only importer of zod.
// lwsws files write numbers and booleans as strings ("60", "on"): number, integer and flag take both spellings.

import { z } from "zod";

export type Shape<T = unknown> = z.ZodType<T>;
export type ObjectShape = z.ZodObject;
export type Infer<S extends z.ZodType> = z.output<S>;

/** What a value lacks, by path below it. */
export type Issue = { readonly path: readonly (string | number)[]; readonly message: string };
export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly issues: readonly Issue[] };

/** Decodes a value, or names everything that is wrong with it. */
export function decode<S extends z.ZodType>(shape: S, value: unknown): Decoded<Infer<S>> {
  const result = shape.safeParse(value);
  if (result.success) return { ok: true, value: result.data };
  const issues = result.error.issues.map((issue) => ({
    path: issue.path.map((step) => (typeof step === "symbol" ? String(step) : step)),
    message: issue.message,
  }));
  return { ok: false, issues };
}

/** True for a member that an object may be without, and then has no value. */
export function mayLack(member: Shape): boolean {
  return member instanceof z.ZodExactOptional;
}

/** A boolean in any of lwsws's spellings: a non-zero number, "on", "yes", "true" are true; 0, "off", "no", "false" are false. */
export function flag(fallback = false) {
  return setting().default(fallback);
}

/** A flag without a default: not written differs from off. */
export function setting() {
  return z
    .union([z.boolean(), z.number(), z.string()], {
      error: (issue) => `Expected a flag such as "1" or "0", got ${shown(issue.input)}`,
    })
    .meta({
      title: "flag",
      pattern: flagPattern(),
    })
    .transform((value, context) => {
      const isOn = readFlag(value);
      if (isOn !== undefined) return isOn;
      context.addIssue({
        code: "custom",
        message: `Expected a flag such as "1" or "0", got ${shown(value)}`,
      });
      return z.NEVER;
    });
}

const ON = ["on", "yes", "true"];
const OFF = ["off", "no", "false"];

/** What a flag says, undefined for anything that is none. */
export function readFlag(value: unknown): boolean | undefined {
  if (typeof value === "boolean") return value;
  if (typeof value === "number") return value !== 0;
  if (typeof value !== "string") return undefined;
  const word = value.trim().toLowerCase();
  if (ON.includes(word)) return true;
  if (OFF.includes(word) || word === "") return false;
  return /^[+-]?\d+$/.test(word) ? Number(word) !== 0 : undefined;
}

export type IntegerOptions = { readonly min?: number; readonly max?: number };

/** A whole number, written as a number or as a decimal string. */
export function integer(options: IntegerOptions = {}) {
  const min = options.min ?? Number.MIN_SAFE_INTEGER;
  const max = options.max ?? Number.MAX_SAFE_INTEGER;
  const wanted =
    options.min === undefined && options.max === undefined
      ? "a whole number"
      : options.max === undefined
        ? `a whole number of at least ${min}`
        : `a whole number from ${min} to ${max}`;
  return z
    .union([z.number(), z.string()], {
      error: (issue) => `Expected ${wanted}, got ${shown(issue.input)}`,
    })
    .meta({
      title: wanted.replace(/^a /, ""),
      multipleOf: 1,
      minimum: min,
      maximum: max,
      pattern: written("[+-]?\\d+"),
    })
    .transform((value, context) => {
      const result =
        typeof value === "number"
          ? value
          : /^[+-]?\d+$/.test(value.trim())
            ? Number(value)
            : Number.NaN;
      if (Number.isSafeInteger(result) && result >= min && result <= max) return result;
      context.addIssue({ code: "custom", message: `Expected ${wanted}, got ${shown(value)}` });
      return z.NEVER;
    });
}

/** Longest wait a Node timer can hold, 2^31 - 1 ms; a longer one would fire at once. */
const MAX_TIMER_SECS = 2_147_483;

/** A time in whole seconds. */
export function seconds(min: number) {
  return integer({ min, max: MAX_TIMER_SECS }).meta({ title: "seconds" });
}

/** A time in whole seconds where 0 stands for the default, as lwsws reads it. */
export function secondsOr(fallback: number) {
  return seconds(0)
    .transform((value) => (value === 0 ? fallback : value))
    .default(fallback);
}

/** Text; a number is taken as its digits, as lwsws does. */
export function text() {
  return z
    .union([z.string(), z.number()], {
      error: (issue) => `Expected a string, got ${shown(issue.input)}`,
    })
    .meta({ title: "text" })
    .transform((value) => String(value));
}

/** One of a few words. */
export function choice<const W extends string>(...words: readonly W[]) {
  const wanted = words.map((word) => `"${word}"`).join(", ");
  const word = text().meta({ title: "word", pattern: `^(?:${words.join("|")})$|\\$\\{` });
  return convert(
    word,
    (value, refuse): W | undefined =>
      words.find((known) => known === value) ??
      refuse(`Expected one of ${wanted}, got ${shown(value)}`),
  );
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
const SIZE = /^\s*(\d{1,15})\s*([kmg]?)\s*$/i;

/** A number of bytes, also as "64k", "100M" or "2G". */
export function size() {
  const digits = text().meta({
    title: "bytes",
    pattern: "^\\s*\\d{1,15}\\s*[kKmMgG]?\\s*$|\\$\\{",
  });
  return convert(digits, (value, refuse) => {
    const [, count, unit = ""] = SIZE.exec(value) ?? [];
    const bytes = Number(count) * (UNITS[unit.toLowerCase()] ?? 1);
    if (bytes <= Number.MAX_SAFE_INTEGER) return bytes;
    return refuse(`Expected a number of bytes such as 65536, "64k" or "100M", got ${shown(value)}`);
  });
}

/** A path; the reader makes it absolute afterwards. */
export function path() {
  return check(text(), (value) => {
    if (value === "") return "Expected a path, got an empty string";
    return value.includes("\0") ? "A path cannot hold a NUL character" : undefined;
  }).meta({ title: "path", minLength: 1 });
}

/** Refuses values of `shape` for which `fault` has a sentence. */
export function check<T>(shape: Shape<T>, fault: (value: T) => string | undefined) {
  return shape.superRefine((value, context) => {
    const message = fault(value);
    if (message !== undefined) context.addIssue({ code: "custom", message });
  });
}

/** Says why a value is refused; `path` leads to the part that is to blame. */
export type Refuse = (message: string, path?: (string | number)[]) => undefined;

/** Turns a value into another; `refuse` says why it cannot and which part is to blame, and the result is dropped. */
export function convert<A, B>(shape: Shape<A>, into: (value: A, refuse: Refuse) => B | undefined) {
  return shape.transform((value, context): B => {
    const result = into(value, (message, at = []) => {
      context.addIssue({ code: "custom", message, path: at });
      return undefined;
    });
    return result === undefined ? z.NEVER : result;
  });
}

/** A value as a message quotes it, cut to a readable length. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  const json = JSON.stringify(value);
  return json.length > MAX_SHOWN ? `${json.slice(0, MAX_SHOWN)}…` : json;
}

const MAX_SHOWN = 80;

/** What the files write for a value: JSON Schema keywords, with `title` as the kind of value for people. */
export type JsonSchema = Readonly<Record<string, unknown>>;

export type KeyFacts = {
  readonly description: string;
  readonly examples: readonly unknown[];
  /** What stands for a key that is not given; undefined where nothing does. */
  readonly fallback: unknown;
  readonly isRequired: boolean;
  readonly schema: JsonSchema;
};

/** All that the shape of an object tells of its keys, for the manual and for editors. */
export function describeKeys(shape: ObjectShape): ReadonlyMap<string, KeyFacts> {
  const { properties = {}, required = [] } = z.toJSONSchema(shape, {
    io: "input",
    unrepresentable: "any",
  });
  const facts = Object.entries(shape.shape).map(([key, member]): [string, KeyFacts] => {
    const { description = "", examples = [] } = (member as z.ZodType).meta() ?? {};
    const absent = decode(member as z.ZodType, undefined);
    return [
      key,
      {
        description,
        examples: examples as readonly unknown[],
        fallback: absent.ok ? absent.value : undefined,
        isRequired: required.includes(key),
        schema: properties[key] as JsonSchema,
      },
    ];
  });
  return new Map(facts);
}

/** What strings spell flags, as a pattern of JSON Schema. */
export function flagPattern(): string {
  return written(`([+-]?\\d+|${[...ON, ...OFF].map(anyCase).join("|")})?`);
}

/** The pattern of a string that spells a value; a name in it ("${PORT}") may stand for anything. */
function written(pattern: string): string {
  return `^\\s*${pattern}\\s*$|\\$\\{`;
}

/** JSON Schema has no flag for it. */
function anyCase(word: string): string {
  return word.replace(/[a-z]/g, (letter) => `[${letter.toUpperCase()}${letter}]`);
}

const NO_ITEMS = Object.freeze([]) as unknown as never[];
const NO_MEMBERS: Record<string, never> = Object.freeze({});

/** Defaults that ten thousand mounts share instead of having one each. */
export const noItems = (): never[] => NO_ITEMS;
export const noMembers = (): Record<string, never> => NO_MEMBERS;

/** An object with exactly these members; an unknown one is a problem. */
export const object = z.strictObject;
export const array = z.array;
export const record = <V extends z.ZodType>(value: V) =>
  z
    .record(z.string(), value, "Expected an object of names and values")
    .meta({ title: "names and values" });
export const string = z.string;
export const number = z.number;
export const boolean = z.boolean;
export const bytes = () => z.custom<Uint8Array>((value) => value instanceof Uint8Array);
/** Data of any kind, passed on as written. */
export const anything = z.unknown;
/** Data whose maker is trusted: passed on as it is, typed T. */
export const trusted = <T>() => z.custom<T>();
