// Keys given twice in one object: JSON readers keep one of them silently, here both places are named.

import { placeName, problemAt, type ConfigDocument } from "./document.ts";
import { repeatableKeys } from "./inert-keys.ts";
import type { Report } from "./problems.ts";
import { childPath, type Member, type Node } from "./tree.ts";

/** Reports every key that stands twice in its object, except those that lwsws lets repeat. */
export function checkDuplicates(document: ConfigDocument, report: Report): void {
  // Paths are made for what is reported only, and that is rare.
  if (isSuspect(document.root)) visit(document.root, "");

  function visit(node: Node, path: string): void {
    if (node.kind === "array")
      for (const [index, item] of node.items.entries()) visit(item, childPath(path, index));
    if (node.kind !== "object") return;
    const first = new Map<string, Member>();
    for (const member of node.members) {
      const earlier = first.get(member.key);
      if (!earlier) first.set(member.key, member);
      else if (!mayRepeat(member.key, path)) {
        const message = `Given twice in one object; first at ${placeName(document, earlier)}`;
        report(problemAt(document, "error", member.offset, childPath(path, member.key), message));
      }
      if (member.key === "__proto__")
        report(problemAt(document, "error", member.offset, path, '"__proto__" cannot be a key'));
      visit(member.value, childPath(path, member.key));
    }
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
