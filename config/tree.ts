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
  return plainObject(node);
}

/** The same for an object. */
export function plainObject(node: ObjectNode): Record<string, unknown> {
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
      more.length === 0 && first
        ? plainValue(first)
        : [first, ...more].map((n) => n && plainValue(n)),
    ]),
  );
}

/** Path of a member or an element below `path`: "vhosts[0].name". */
export function childPath(path: string, step: string | number): string {
  if (typeof step === "number") return `${path}[${step}]`;
  return path === "" ? step : `${path}.${step}`;
}

/** What stands at `path`, or else the nearest thing around it; `rest` is the part of the path that is not there. */
export function nearest(root: Node, path: string): { node: Node; rest: string } {
  let found: Step = { node: root, rest: path };
  while (found.rest !== "") {
    const { node, rest } = found;
    const step = node.kind === "array" ? elementAt(node, rest) : memberAt(node, rest);
    if (!step) break;
    found = step;
  }
  return found;
}

type Step = { readonly node: Node; readonly rest: string };

function elementAt(node: ArrayNode, path: string): Step | undefined {
  const match = /^(?:\[(\d+)\]|\.?(\d+)(?=[.[]|$))/.exec(path);
  const item = match && node.items[Number(match[1] ?? match[2])];
  return item ? { node: item, rest: path.slice(match[0].length) } : undefined;
}

/** Keys may hold dots (header names, protocols called com.example.x), so the longest key that fits is taken. */
function memberAt(node: Node, path: string): Step | undefined {
  if (node.kind !== "object") return undefined;
  const rest = path.startsWith(".") ? path.slice(1) : path;
  let best: Member | undefined;
  for (const member of node.members) {
    const isWhole = /^(?:[.[]|$)/.test(rest.slice(member.key.length, member.key.length + 1));
    if (!isWhole || !rest.startsWith(member.key)) continue;
    if (!best || member.key.length > best.key.length) best = member;
  }
  return best && { node: best.value, rest: rest.slice(best.key.length) };
}
