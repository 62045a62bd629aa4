// Names in values: "${NAME}" from a "=NAME" definition, "${env:NAME}" from the environment, and lwsws's _lws_ddir_.
// Definitions stand at the top level of a file and hold there and in the files read after it. "$${" is a plain "${".

import { placeName, problemAt, type ConfigDocument } from "./document.ts";
import type { Report } from "./problems.ts";
import { shown } from "./shape.ts";
import { suggest } from "./suggest.ts";
import { childPath, type Member, type Node, type ScalarNode } from "./tree.ts";

export type Environment = Readonly<Record<string, string | undefined>>;
export type Definition = { readonly value: string; readonly place: string };
export type Definitions = Map<string, Definition>;

/** What lwsws was built with on most systems; PORTICO_DATA_DIR names another directory. */
const DEFAULT_DATA_DIR = "/usr/local/share";

/** Definitions may use earlier ones, which could double a text again and again. */
const MAX_VALUE_LENGTH = 65_536;

/** The document with all names replaced and its definitions taken out of it; they are added to `definitions`. */
export function substitute(
  document: ConfigDocument,
  definitions: Definitions,
  environment: Environment,
  report: Report,
): ConfigDocument {
  const dataDirectory = environment["PORTICO_DATA_DIR"] || DEFAULT_DATA_DIR;
  for (const member of document.root.members) if (isDefinition(member)) define(member);
  const rest = document.root.members
    .filter((member) => !isDefinition(member))
    .map((member) => (holdsName(member.value) ? replaceMember(member, member.key) : member));
  return { ...document, root: { ...document.root, members: rest } };

  function define(member: Member): void {
    const name = member.key.slice(1);
    const place = placeName(document, member);
    const refuse = (message: string, severity: "error" | "notice" = "error") =>
      report(problemAt(document, severity, member.offset, member.key, message));
    if (!NAME.test(name))
      return refuse("A definition is named by letters, digits and _ after the =");
    const value = replace(member.value, member.key);
    if (value.kind !== "scalar" || value.value === null)
      return refuse("A definition has a string, a number or a flag as its value");
    const earlier = definitions.get(name);
    const text = String(value.value);
    if (earlier && earlier.value !== text)
      refuse(
        `Defined as ${shown(earlier.value)} at ${earlier.place}; from here on it is ${shown(text)}`,
        "notice",
      );
    definitions.set(name, { value: text, place });
  }

  /** What holds no name stays the node it is: most of a file does. */
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
    const value = text.replace(REFERENCE, (whole, isEnvironment?: string, name?: string) => {
      if (whole === "_lws_ddir_") return dataDirectory;
      if (whole === "$${") return "${";
      if (name === undefined) return whole;
      const found = isEnvironment ? environment[name] : definitions.get(name)?.value;
      if (found !== undefined) return found;
      const message = isEnvironment
        ? `The environment has no variable ${shown(name)}`
        : `No definition of ${shown(name)}; expected "=${name}" at the top of this file or of one read before it${suggest(name, [...definitions.keys()])}`;
      report(problemAt(document, "error", node.offset, path, message));
      return whole;
    });
    if (value.length <= MAX_VALUE_LENGTH) return { ...node, value };
    report(
      problemAt(
        document,
        "error",
        node.offset,
        path,
        `Longer than ${MAX_VALUE_LENGTH} characters once its names are replaced`,
      ),
    );
    return node;
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
const REFERENCE = /_lws_ddir_|\$\$\{|\$\{(env:)?([A-Za-z_]\w*)\}/g;
