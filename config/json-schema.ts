// JSON Schema of one configuration file, `conf` or a file of `conf.d`, so that editors complete keys and mark mistakes.
// Drawn from the table of kinds. It is as strict as the reader where JSON Schema can be, and never stricter.

import { repeatableKeys } from "./inert-keys.ts";
import { fileKind, globalKind, mountKind, protocolKind, vhostKind } from "./kinds.ts";
import type { Kind } from "./members.ts";
import { describeKeys, type JsonSchema, type KeyFacts } from "./shape.ts";

/** The schema, in the draft that editors know best. */
export function configurationSchema(): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Portico configuration file",
    ...objectSchema(fileKind, {
      global: { $ref: "#/$defs/global" },
      vhosts: { type: ["array", "null"], items: { $ref: "#/$defs/vhost" } },
      $schema: { type: "string" },
    }),
    patternProperties: {
      "^=": {
        description: 'A definition: "=NAME" stands for its value where values say "${NAME}".',
        type: ["string", "number", "boolean"],
      },
    },
    $defs: {
      global: objectSchema(globalKind, {}),
      vhost: objectSchema(vhostKind, {
        mounts: { type: ["array", "null"], items: { $ref: "#/$defs/mount" } },
        "ws-protocols": {
          anyOf: [
            { $ref: "#/$defs/protocols" },
            { type: "array", items: { $ref: "#/$defs/protocols" } },
          ],
        },
      }),
      mount: objectSchema(mountKind, {}),
      protocols: { type: ["object", "null"], additionalProperties: { $ref: "#/$defs/protocol" } },
      // The options of a plugin are known to the plugin only.
      protocol: { ...objectSchema(protocolKind, {}), additionalProperties: true },
    },
  };
}

/** `others` holds the schemas of the keys that the shape of the kind does not decode; any value where it has none. */
function objectSchema(kind: Kind, others: Readonly<Record<string, JsonSchema>>): JsonSchema {
  const keys = [...describeKeys(kind.shape)];
  const properties = keys.map(([key, facts]) => [key, keySchema(key, facts)] as const);
  const known = new Map(properties);
  return {
    type: ["object", "null"],
    properties: {
      ...Object.fromEntries(properties),
      ...mapRecord(kind.aliases, (key) => known.get(key) ?? {}),
      ...mapRecord(kind.others, (description, key) => ({ description, ...others[key] })),
      ...mapRecord(kind.inert, ({ says }, key) => ({
        description: `"${key}" ${says}`,
        deprecated: true,
      })),
    },
    required: keys.filter(([, facts]) => facts.isRequired).map(([key]) => key),
    additionalProperties: false,
  };
}

function keySchema(key: string, facts: KeyFacts): JsonSchema {
  const { description, examples, fallback, isRequired, schema } = facts;
  const { description: _same, title, ...keywords } = schema;
  const notes = {
    description,
    ...(examples.length > 0 && { examples }),
    ...(fallback !== undefined && { default: fallback }),
  };
  if (repeatableKeys.has(key)) {
    const items = keywords["items"] ?? {};
    return { ...notes, anyOf: [items, { type: "array", items }, { type: "null" }] };
  }
  const types = keywords["type"];
  // A null is a key that was not given.
  const type = isRequired || types === undefined ? types : [types, "null"].flat();
  return {
    ...notes,
    ...(title !== undefined && { title }),
    ...keywords,
    ...(type !== undefined && { type }),
  };
}

function mapRecord<T>(
  record: Readonly<Record<string, T>>,
  map: (value: T, key: string) => JsonSchema,
): Record<string, JsonSchema> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]));
}
