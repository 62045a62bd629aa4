// The pieces that shapes of keys, messages and plugin options are made of. The only importer of zod.
// lwsws files write numbers and booleans as strings ("60", "on"): number, integer and flag take both spellings.

import { z } from "zod";

export type Shape<T = unknown> = z.ZodType<T>;
export type Infer<S extends z.ZodType> = z.output<S>;

/** A boolean in any of lwsws's spellings: a non-zero number, "on", "yes", "true" are true; 0, "off", "no", "false" are false. */
export function flag(fallback?: boolean) {
  const shape = z
    .union([z.boolean(), z.number(), z.string()], { error: 'Expected a flag such as "1" or "0"' })
    .transform((value, context) => {
      if (typeof value === "boolean") return value;
      if (typeof value === "number") return value !== 0;
      const word = value.trim().toLowerCase();
      if (["on", "yes", "true"].includes(word)) return true;
      if (["off", "no", "false", ""].includes(word)) return false;
      if (/^-?\d+$/.test(word)) return Number(word) !== 0;
      context.addIssue({
        code: "custom",
        message: `Expected a flag such as "1" or "0", got ${JSON.stringify(value)}`,
      });
      return z.NEVER;
    });
  return fallback === undefined ? shape.default(false) : shape.default(fallback);
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
    .union([z.number(), z.string()], { error: `Expected ${wanted}` })
    .transform((value, context) => {
      const result =
        typeof value === "number"
          ? value
          : /^[+-]?\d+$/.test(value.trim())
            ? Number(value)
            : Number.NaN;
      if (Number.isSafeInteger(result) && result >= min && result <= max) return result;
      context.addIssue({
        code: "custom",
        message: `Expected ${wanted}, got ${JSON.stringify(value)}`,
      });
      return z.NEVER;
    });
}

/** Text; a number is taken as its digits, as lwsws does. */
export function text() {
  return z
    .union([z.string(), z.number()], { error: "Expected a string" })
    .transform((value) => String(value));
}

/** An object with exactly these members; an unknown one is a problem. */
export const object = z.strictObject;
export const array = z.array;
export const record = <V extends z.ZodType>(value: V) => z.record(z.string(), value);
export const string = z.string;
export const number = z.number;
export const boolean = z.boolean;
export const bytes = () => z.instanceof(Uint8Array);
export const oneOf = z.enum;
export const union = z.union;
export const literal = z.literal;
/** Data whose maker is trusted: passed on as it is, typed T. */
export const trusted = <T>() => z.custom<T>();
