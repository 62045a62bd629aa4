// Names in values: "${NAME}" from a "=NAME" definition, "${env:NAME}" from the environment, and lwsws's _lws_ddir_.
// Definitions stand at the top level of a file and hold there and in the files read after it. "$${" is a plain "${".

import { placeKey, placeName, problemAt, type ConfigDocument } from "./document.ts";
import type { Report } from "./problems.ts";
import { isSecretName } from "./secret-names.ts";
import { shown } from "./shape.ts";
import { suggest } from "./suggest.ts";
import { childPath, type Member, type Node, type ScalarNode } from "./tree.ts";

export type Environment = Readonly<Record<string, string | undefined>>;
export type Definition = {
  readonly place: string;
  /** Undefined for one that was refused: what uses it is not to blame. */
  readonly value: string | undefined;
};

/** What the files read so far say, and what reading them came to. */
export type Names = {
  readonly definitions: Map<string, Definition>;
  /** Values that could not be made, by placeKey: all else that is wrong with them follows from that. */
  readonly blamed: Set<string>;
  /** Characters put in the place of names. */
  replacedLength: number;
};

export function createNames(): Names {
  return { definitions: new Map(), blamed: new Set(), replacedLength: 0 };
}

/** What lwsws was built with on most systems; PORTICO_DATA_DIR names another directory. */
const DEFAULT_DATA_DIR = "/usr/local/share";

/** Definitions may use earlier ones, which could double a text again and again. */
const MAX_VALUE_LENGTH = 65_536;
/** The same for all values together: a long definition used ten thousand times. */
const MAX_REPLACED_LENGTH = 16 * 1024 * 1024;

const TOO_MUCH = `All values together are longer than ${MAX_REPLACED_LENGTH} characters from here on, once their names are replaced`;

/** The document with all names replaced and its definitions taken out of it; they are added to `names`. */
export function substitute(
  document: ConfigDocument,
  names: Names,
  environment: Environment,
  report: Report,
): ConfigDocument {
  const { definitions, blamed } = names;
  const dataDirectory = environment["PORTICO_DATA_DIR"] || DEFAULT_DATA_DIR;
  for (const member of document.root.members) if (isDefinition(member)) define(member);
  const rest = document.root.members
    .filter((member) => !isDefinition(member))
    .map((member) => (holdsName(member.value) ? replaceMember(member, member.key) : member));
  return { ...document, root: { ...document.root, members: rest } };

  function define(member: Member): void {
    const name = member.key.slice(1);
    const place = placeName(document, member);
    const say = (severity: "error" | "notice", message: string) =>
      report(problemAt(document, severity, member.offset, member.key, message));
    const value = NAME.test(name) ? definitionValue(member, say) : undefined;
    if (!NAME.test(name))
      say("error", "A definition is named by letters, digits and _ after the =");
    const earlier = definitions.get(name);
    if (earlier?.value !== undefined && value !== undefined && earlier.value !== value)
      say(
        "notice",
        isSecretName(name)
          ? `Defined otherwise at ${earlier.place}; from here on this holds`
          : `Defined as ${shown(earlier.value)} at ${earlier.place}; from here on it is ${shown(value)}`,
      );
    definitions.set(name, { value, place });
  }

  function definitionValue(
    member: Member,
    say: (severity: "error", message: string) => void,
  ): string | undefined {
    const node = replace(member.value, member.key);
    if (blamed.has(keyOf(member.value, member.key))) return undefined;
    if (node.kind === "scalar" && node.value !== null) return String(node.value);
    say("error", "A definition has a string, a number or a flag as its value");
    return undefined;
  }

  /** What holds no name stays the node it is. */
  function replace(node: Node, path: string): Node {
    if (node.kind === "array") {
      const items = node.items.map((item, index) => replace(item, childPath(path, index)));
      return items.every((item, index) => item === node.items[index]) ? node : { ...node, items };
    }
    if (node.kind === "object") {
      const members = node.members.map((member) =>
        replaceMember(member, childPath(path, member.key)),
      );
      const isSame = members.every((member, index) => member === node.members[index]);
      return isSame ? node : { ...node, members };
    }
    return typeof node.value === "string" && holdsName(node)
      ? replaceText(node, node.value, path)
      : node;
  }

  function replaceMember(member: Member, path: string): Member {
    const value = replace(member.value, path);
    return value === member.value ? member : { ...member, value };
  }

  function replaceText(node: ScalarNode, text: string, path: string): ScalarNode {
    const blame = (message: string): void => {
      blamed.add(keyOf(node, path));
      report(problemAt(document, "error", node.offset, path, message));
    };
    let length = text.length;
    const value = text.replace(REFERENCE, (whole, isEnvironment?: string, name?: string) => {
      if (whole === "_lws_ddir_") return dataDirectory;
      if (whole === "$${") return "${";
      if (name === undefined) {
        const message = `${shown(whole)} stays as it is: a name has letters, digits and _; a plain "\${" is written "$\${"`;
        report(problemAt(document, "warning", node.offset, path, message));
        return whole;
      }
      const definition = isEnvironment ? undefined : definitions.get(name);
      const found = isEnvironment ? environment[name] : definition?.value;
      if (found === undefined) {
        if (definition) blamed.add(keyOf(node, path));
        else
          blame(isEnvironment ? `The environment has no variable ${shown(name)}` : missing(name));
        return whole;
      }
      length += found.length;
      names.replacedLength += found.length;
      // Beyond the limits nothing is put together any more: the result would not fit into memory.
      return isTooLong(length) ? "" : found;
    });
    if (names.replacedLength > MAX_REPLACED_LENGTH) {
      const isFirst = names.replacedLength - (length - text.length) <= MAX_REPLACED_LENGTH;
      if (isFirst) blame(TOO_MUCH);
      else blamed.add(keyOf(node, path));
    } else if (isTooLong(length))
      blame(`Longer than ${MAX_VALUE_LENGTH} characters once its names are replaced`);
    return { ...node, value };
  }

  function isTooLong(length: number): boolean {
    return length > MAX_VALUE_LENGTH || names.replacedLength > MAX_REPLACED_LENGTH;
  }

  function missing(name: string): string {
    const later = document.root.members.find(({ key }) => key === `=${name}`);
    return later
      ? `"=${name}" at ${placeName(document, later)} is not read yet; a definition may use those before it`
      : `No definition of ${shown(name)}; expected "=${name}" at the top of this file or of one read before it${suggest(name, [...definitions.keys()])}`;
  }

  function keyOf(node: Node, path: string): string {
    return placeKey(problemAt(document, "error", node.offset, path, ""));
  }
}

function isDefinition(member: Member): boolean {
  return member.key.startsWith("=");
}

/** Asked before anything is copied: most files hold none. */
function holdsName(node: Node): boolean {
  if (node.kind === "array") return node.items.some(holdsName);
  if (node.kind === "object") return node.members.some(({ value }) => holdsName(value));
  return typeof node.value === "string" && /\$\{|_lws_ddir_/.test(node.value);
}

const NAME = /^[A-Za-z_]\w*$/;
const REFERENCE = /_lws_ddir_|\$\$\{|\$\{(env:)?([A-Za-z_]\w*)\}|\$\{[^}]{0,40}\}?/g;
