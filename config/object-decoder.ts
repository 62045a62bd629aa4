// Decodes objects of one shape, ten thousand of them: what an object does not say costs nothing, and a text that many of
// them say is decoded once and shared.

import {
  decode,
  mayLack,
  type Decoded,
  type Infer,
  type Issue,
  type ObjectShape,
} from "./shape.ts";

export type ObjectDecoder<S extends ObjectShape> = (
  raw: Readonly<Record<string, unknown>>,
) => Decoded<Infer<S>>;

/** A decoder that knows no member but those of the shape. It lives as long as one reading, because it remembers texts. */
export function createObjectDecoder<S extends ObjectShape>(shape: S): ObjectDecoder<S> {
  const members = Object.entries(shape.shape).map(([key, member]) => ({
    key,
    absent: mayLack(member) ? undefined : decode(member, undefined),
    decode: rememberTexts((value) => decode(member, value)),
  }));
  return (raw) => {
    const value: Record<string, unknown> = {};
    const issues: Issue[] = [];
    for (const { key, absent, decode: decodeMember } of members) {
      const found = Object.hasOwn(raw, key) ? decodeMember(raw[key]) : absent;
      if (found?.ok) value[key] = found.value;
      else if (found)
        issues.push(...found.issues.map((issue) => ({ ...issue, path: [key, ...issue.path] })));
    }
    return issues.length > 0 ? { ok: false, issues } : { ok: true, value: value as Infer<S> };
  };
}

type Decode = (value: unknown) => Decoded<unknown>;

function rememberTexts(decodeValue: Decode): Decode {
  const known = new Map<string, Decoded<unknown>>();
  return (value) => {
    if (typeof value !== "string") return decodeValue(value);
    let decoded = known.get(value);
    if (!decoded) known.set(value, (decoded = decodeValue(value)));
    return decoded;
  };
}
