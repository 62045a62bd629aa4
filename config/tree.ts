// The tree of one file: every value with the offset it stands at, every member in order, repeated keys kept.

export type Scalar = string | number | boolean | null;

export type ScalarNode = {
  readonly kind: "scalar";
  readonly value: Scalar;
  readonly offset: number;
};
export type ArrayNode = {
  readonly kind: "array";
  readonly items: readonly Node[];
  readonly offset: number;
};
export type Member = { readonly key: string; readonly offset: number; readonly value: Node };
export type ObjectNode = {
  readonly kind: "object";
  readonly members: readonly Member[];
  readonly offset: number;
};
export type Node = ScalarNode | ArrayNode | ObjectNode;

/** The value as plain data. A key given several times gathers its values in an array. */
export function plainValue(node: Node): unknown {
  if (node.kind === "scalar") return node.value;
  if (node.kind === "array") return node.items.map(plainValue);
  const members = new Map<string, Node[]>();
  for (const member of node.members) {
    const values = members.get(member.key);
    if (values) values.push(member.value);
    else members.set(member.key, [member.value]);
  }
  // fromEntries defines own properties: a key named "constructor" stays data.
  return Object.fromEntries(
    [...members].map(([key, [first, ...more]]) => [
      key,
      more.length === 0 && first ? plainValue(first) : [first, ...more].map((n) => n && plainValue(n)),
    ]),
  );
}

/** Path of a member or an element below `path`: "vhosts[0].name". */
export function childPath(path: string, step: string | number): string {
  if (typeof step === "number") return `${path}[${step}]`;
  return path === "" ? step : `${path}.${step}`;
}

/** What stands at `path`, or else the nearest thing around it. `key` is the offset of its key, where it has one. */
export function nearest(root: Node, path: string): { node: Node; key?: number } {
  let found: { node: Node; key?: number } = { node: root };
  let rest = path;
  while (rest !== "") {
    const step = found.node.kind === "array" ? elementAt(found.node, rest) : memberAt(found.node, rest);
    if (!step) break;
    found = step.found;
    rest = step.rest;
  }
  return found;
}

type Step = { readonly found: { node: Node; key?: number }; readonly rest: string };

function elementAt(node: ArrayNode, path: string): Step | undefined {
  const match = /^(?:\[(\d+)\]|\.?(\d+)(?=[.[]|$))/.exec(path);
  const item = match && node.items[Number(match[1] ?? match[2])];
  return item ? { found: { node: item }, rest: path.slice(match[0].length) } : undefined;
}

/** Keys may hold dots (header names, protocols called com.example.x), so the longest key that fits is taken. */
function memberAt(node: Node, path: string): Step | undefined {
  if (node.kind !== "object") return undefined;
  const rest = path.startsWith(".") ? path.slice(1) : path;
  let best: Member | undefined;
  for (const member of node.members) {
    if (!rest.startsWith(member.key) || !/^(?:[.[]|$)/.test(rest.slice(member.key.length, member.key.length + 1)))
      continue;
    if (!best || member.key.length > best.key.length) best = member;
  }
  if (!best) return undefined;
  return { found: { node: best.value, key: best.offset }, rest: rest.slice(best.key.length) };
}
