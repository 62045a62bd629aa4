// Keys given twice in one object: JSON readers keep one of them silently, here both places are named.

import { placeName, problemAt, type ConfigDocument } from "./document.ts";
import { repeatableKeys } from "./inert-keys.ts";
import type { Report } from "./problems.ts";
import { childPath, type Member, type Node, type ObjectNode } from "./tree.ts";

/** Reports every key that stands twice in its object, except those that lwsws lets repeat, and takes it out: nothing else is to be said of it. */
export function refuseDuplicates(document: ConfigDocument, report: Report): ConfigDocument {
  // Most files have none, and need neither paths nor a copy.
  if (!isSuspect(document.root)) return document;
  return { ...document, root: visitObject(document.root, "") };

  function visit(node: Node, path: string): Node {
    if (node.kind === "scalar") return node;
    if (node.kind === "object") return visitObject(node, path);
    return { ...node, items: node.items.map((item, index) => visit(item, childPath(path, index))) };
  }

  function visitObject(node: ObjectNode, path: string): ObjectNode {
    const first = new Map<string, Member>();
    const members = node.members.flatMap((member): Member[] => {
      const at = childPath(path, member.key);
      const refuse = (message: string): [] => {
        report(problemAt(document, "error", member.offset, at, message));
        return [];
      };
      const earlier = first.get(member.key);
      if (member.key === "__proto__") return refuse('"__proto__" cannot be a key');
      if (!earlier) first.set(member.key, member);
      else if (!mayRepeat(member.key, path))
        return refuse(`Given twice in one object; first at ${placeName(document, earlier)}`);
      return [{ ...member, value: visit(member.value, at) }];
    });
    return { ...node, members };
  }
}

/** True where any key stands twice in its object, even if it may. */
function isSuspect(node: Node): boolean {
  if (node.kind === "scalar") return false;
  if (node.kind === "array") return node.items.some(isSuspect);
  const { members } = node;
  const keys = new Set(members.map(({ key }) => key));
  return (
    keys.size < members.length ||
    keys.has("__proto__") ||
    members.some((member) => isSuspect(member.value))
  );
}

/** A second "origin" in a mount is left to the reader of mounts, which knows what it means. */
function mayRepeat(key: string, path: string): boolean {
  return (
    repeatableKeys.has(key) || (key === "origin" && /^vhosts\[\d+\]\.mounts\[\d+\]$/.test(path))
  );
}
