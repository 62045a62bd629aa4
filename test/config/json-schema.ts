// As much of JSON Schema (2020-12) as the schema of configuration files uses.

import assert from "node:assert/strict";

export type Schema = {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly propertyNames?: Schema;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly multipleOf?: number;
};

const ANNOTATIONS = "$schema title description default examples deprecated $defs";
const RULES =
  "$ref type properties patternProperties additionalProperties propertyNames required items anyOf pattern minLength minimum maximum multipleOf";
const KEYWORDS = new Set(`${ANNOTATIONS} ${RULES}`.split(" "));

/** Where a value does not fit, such as "vhosts.0.port"; undefined when it does. */
export function findMismatch(root: Schema, value: unknown): string | undefined {
  return visit(root, value, "");

  function visit(schema: Schema, at: unknown, path: string): string | undefined {
    for (const keyword of Object.keys(schema))
      assert.ok(KEYWORDS.has(keyword), `unknown keyword ${keyword}`);
    const { $ref: reference, anyOf } = schema;
    if (reference !== undefined) {
      const target = root.$defs?.[reference.replace("#/$defs/", "")];
      assert.ok(target, `nothing at ${reference}`);
      const found = visit(target, at, path);
      if (found !== undefined) return found;
    }
    if (anyOf && anyOf.every((one) => visit(one, at, path) !== undefined)) return path;
    if (schema.type !== undefined && ![schema.type].flat().includes(typeOf(at))) return path;
    if (typeof at === "string" && !fitsText(schema, at)) return path;
    if (typeof at === "number" && !fitsNumber(schema, at)) return path;
    if (Array.isArray(at))
      return first(at.entries(), (item) => schema.items && [schema.items, item]);
    if (typeof at !== "object" || at === null) return undefined;
    if (schema.required?.some((key) => !Object.hasOwn(at, key))) return path;
    return first(Object.entries(at), (member, key) => {
      const own = schema.properties?.[String(key)];
      const fitting = Object.entries(schema.patternProperties ?? {}).find(([pattern]) =>
        new RegExp(pattern, "u").test(String(key)),
      );
      const target = own ?? fitting?.[1] ?? schema.additionalProperties;
      if (target === false) return false;
      return typeof target === "object" ? [target, member] : undefined;
    });

    function first(
      parts: Iterable<[string | number, unknown]>,
      choose: (part: unknown, key: string | number) => [Schema, unknown] | false | undefined,
    ): string | undefined {
      for (const [key, part] of parts) {
        const below = path === "" ? String(key) : `${path}.${key}`;
        const chosen = choose(part, key);
        const found = chosen === false ? below : chosen && visit(...chosen, below);
        if (found !== undefined) return found;
      }
      return undefined;
    }
  }
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function fitsText({ pattern, minLength = 0 }: Schema, text: string): boolean {
  return text.length >= minLength && (pattern === undefined || new RegExp(pattern, "u").test(text));
}

function fitsNumber({ minimum, maximum, multipleOf }: Schema, value: number): boolean {
  if (minimum !== undefined && value < minimum) return false;
  if (maximum !== undefined && value > maximum) return false;
  return multipleOf === undefined || Number.isInteger(value / multipleOf);
}
