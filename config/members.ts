// The members of one object against the keys of its kind: what works is kept, everything else is said.

import { placeName, problemAt, type ConfigDocument } from "./document.ts";
import { isMissed, repeatableKeys, type InertKeys } from "./inert-keys.ts";
import type { Problem, Report, Severity } from "./problems.ts";
import { nearestWord, suggest } from "./suggest.ts";
import { childPath, nearest, plainValue, type Member, type Node, type ObjectNode } from "./tree.ts";
import { createObjectDecoder } from "./object-decoder.ts";
import { shown, type Infer, type Issue, type ObjectShape } from "./shape.ts";
import { resolve } from "node:path";

/** What an object of the configuration may hold. */
export type Kind<S extends ObjectShape = ObjectShape> = {
  /** As messages call it: "a mount". */
  readonly title: string;
  readonly shape: S;
  /** Keys of the shape whose values are paths, relative to their file. */
  readonly paths: readonly string[];
  /** Keys that others than the shape decode, each with its manual entry. */
  readonly others: Readonly<Record<string, string>>;
  readonly inert: InertKeys;
  /** Second spellings. */
  readonly aliases: Readonly<Record<string, string>>;
  /** What an object with such keys cannot do without. */
  readonly needs?: (keys: ReadonlySet<string>) => readonly string[];
};

/** A value of a key, where it was found. */
export type Found = {
  readonly key: string;
  readonly node: Node;
  readonly path: string;
  readonly document: ConfigDocument;
};

/** An object or what is left of it: members of kinds that the shape decodes. */
export type Place = Pick<Found, "node" | "path" | "document">;

/** The members that mean something here, in order. A null is a key that was not given. */
export function siftMembers(kind: Kind, object: ObjectNode, place: Place, report: Report): Found[] {
  const { document } = place;
  const found: Found[] = [];
  for (const member of object.members) {
    const key = officialName(kind, member);
    if (member.value.kind === "scalar" && member.value.value === null && isKnown(kind, key))
      continue;
    const path = childPath(place.path, member.key);
    const isUsed = isShapeKey(kind, key) || Object.hasOwn(kind.others, key);
    if (isUsed) found.push({ key, node: member.value, path, document });
    if (isUsed && key === member.key) continue;
    const say: Say = (severity, message, code) => {
      const problem = problemAt(document, severity, member.offset, path, message);
      report(code === undefined ? problem : { ...problem, code });
    };
    if (isUsed) checkSpelling(kind, object, member, document, say);
    else {
      const meant = sayWhatItIs(kind, member, neededBy(kind, object), say);
      if (meant !== undefined) found.push({ key: meant, node: member.value, path, document });
    }
  }
  return found;
}

function officialName({ aliases }: Kind, { key }: Member): string {
  return (Object.hasOwn(aliases, key) ? aliases[key] : undefined) ?? key;
}

/** A key in its second spelling must not stand beside the first one. */
function checkSpelling(
  kind: Kind,
  object: ObjectNode,
  member: Member,
  document: ConfigDocument,
  say: Say,
): void {
  const key = officialName(kind, member);
  const other = object.members.find((one) => one.key === key);
  if (other) say("error", `The same key as "${key}" at ${placeName(document, other)}`);
}

/** Decodes what was found in an object, undefined with a problem reported for each thing wrong. */
export type MemberDecoder<S extends ObjectShape> = (
  found: readonly Found[],
  place: Place,
  report: Report,
) => Infer<S> | undefined;

/** Decodes objects of one kind. Of several values of one key the last holds, but for repeatable keys. */
export function createMemberDecoder<S extends ObjectShape>(kind: Kind<S>): MemberDecoder<S> {
  const decodeObject = createObjectDecoder(kind.shape);
  return (found, place, report) => {
    const result = decodeObject(rawMembers(kind, found));
    if (result.ok) return result.value;
    for (const issue of result.issues) report(placeIssue(kind, issue, found, place));
    return undefined;
  };
}

function rawMembers(kind: Kind, found: readonly Found[]): Record<string, unknown> {
  const raw: Record<string, unknown> = {};
  for (const one of found) {
    const { key } = one;
    if (!isShapeKey(kind, key)) continue;
    const valueOf = kind.paths.includes(key) ? absolute : plain;
    if (!repeatableKeys.has(key)) raw[key] = valueOf(one);
    else raw[key] = [...((raw[key] as unknown[]) ?? []), ...spread(one).map(valueOf)];
  }
  return raw;
}

function placeIssue(
  kind: Kind,
  { path: [key = "", ...rest], message }: Issue,
  found: readonly Found[],
  place: Place,
): Problem {
  const values = sourcesOf(kind, found).get(String(key));
  if (!values) {
    const says = `Missing: ${kind.title} needs "${key}"`;
    return problemAt(place.document, "error", place.node.offset, childPath(place.path, key), says);
  }
  const isList = repeatableKeys.has(String(key)) && typeof rest[0] === "number";
  const source = (isList ? values[Number(rest.shift())] : values[0]) ?? place;
  const below = rest.reduce<string>(childPath, "");
  const { offset } = nearest(source.node, below).node;
  const path = rest.reduce<string>(childPath, source.path);
  return problemAt(source.document, "error", offset, path, message);
}

/** Where each value of the shape was found, several for a repeatable key. */
function sourcesOf(kind: Kind, found: readonly Found[]): ReadonlyMap<string, readonly Found[]> {
  const sources = new Map<string, Found[]>();
  for (const one of found) {
    if (!isShapeKey(kind, one.key)) continue;
    const isList = repeatableKeys.has(one.key);
    const earlier = isList ? (sources.get(one.key) ?? []) : [];
    sources.set(one.key, [...earlier, ...(isList ? spread(one) : [one])]);
  }
  return sources;
}

/** True for a key that this kind of object can hold, working or not. */
function isKnown(kind: Kind, key: string): boolean {
  return isShapeKey(kind, key) || Object.hasOwn(kind.others, key) || Object.hasOwn(kind.inert, key);
}

function isShapeKey(kind: Kind, key: string): boolean {
  return Object.hasOwn(kind.shape.shape, key);
}

type Say = (severity: Severity, message: string, code?: Problem["code"]) => void;

/** What an object lacks to be one of its kind. */
function neededBy(kind: Kind, { members }: ObjectNode): readonly string[] {
  if (!kind.needs) return [];
  const keys = new Set(members.map((member) => officialName(kind, member)));
  return kind.needs(keys).filter((key) => !keys.has(key));
}

/** Returns the needed key that a misspelt one is read as, so that it is not called missing as well. */
function sayWhatItIs(
  kind: Kind,
  member: Member,
  needed: readonly string[],
  say: Say,
): string | undefined {
  const inert = Object.hasOwn(kind.inert, member.key) ? kind.inert[member.key] : undefined;
  if (inert) {
    if (!isMissed(inert, plainValue(member.value))) return undefined;
    const message = `"${member.key}" ${inert.says}`;
    if (inert.isGuard) say("error", `${message}, and without it this would stand open`);
    else say("notice", message);
    return undefined;
  }
  if (member.key.startsWith("=")) {
    const message = `Unknown key; a definition such as ${shown(member.key)} stands at the top level of a file`;
    say("warning", message, "unknown-key");
    return undefined;
  }
  const known = [kind.shape.shape, kind.others, kind.inert].flatMap((keys) => Object.keys(keys));
  const near = nearestWord(member.key, known);
  const what = `Unknown key ${shown(member.key)} in ${kind.title}`;
  if (near !== undefined && needed.includes(near)) {
    say("error", `${what}; did you mean "${near}"?`);
    return near;
  }
  say("warning", `${what}; it has no effect${suggest(member.key, known)}`, "unknown-key");
  return undefined;
}

/** The values of a repeatable key: each its own, or several in an array. */
export function spread(found: Found): Found[] {
  if (found.node.kind !== "array") return [found];
  return found.node.items.map((node, index) => ({
    ...found,
    node,
    path: childPath(found.path, index),
  }));
}

function plain({ node }: Found): unknown {
  return plainValue(node);
}

/** As a path of a log. */
const STANDARD_OUTPUT = "-";

/** A path of the file as an absolute one; what is no path is left for the shape to refuse. */
function absolute({ key, node, document }: Found): unknown {
  const value = plainValue(node);
  if (key === "access-log" && value === STANDARD_OUTPUT) return "/dev/stdout";
  return typeof value === "string" && value !== "" ? resolve(document.directory, value) : value;
}
