// "ws-protocols" of a vhost: which protocols it has, each a member with its options.

import { problemAt } from "./document.ts";
import { protocolKind } from "./kinds.ts";
import { siftMembers, type MemberDecoder, type Place } from "./members.ts";
import type { Report } from "./problems.ts";
import type { ProtocolConfig } from "./protocol.ts";
import { readFlag } from "./shape.ts";
import { childPath, plainObject, plainValue, type Member, type ObjectNode } from "./tree.ts";

type DecodeKeys = MemberDecoder<typeof protocolKind.shape>;

/** Reads "ws-protocols": one object with a member for each protocol, or an array of such objects. `path` is that of the vhost. */
export function readProtocols(
  { node, path, document }: Place,
  decodeKeys: DecodeKeys,
  report: Report,
): ProtocolConfig[] {
  const base = childPath(path, "ws-protocols");
  const groups: Place[] =
    node.kind === "array"
      ? node.items.map((item, index) => ({ node: item, path: childPath(base, index), document }))
      : [{ node, path: base, document }];
  const protocols = new Map<string, ProtocolConfig>();
  let fallback: string | undefined;
  for (const group of groups) {
    if (group.node.kind !== "object") {
      const message = 'Expected an object such as {"lws-status": {}}';
      report(problemAt(document, "error", group.node.offset, group.path, message));
      continue;
    }
    for (const member of group.node.members) {
      const place = { ...group, path: childPath(group.path, member.key) };
      const say = (severity: "error" | "warning", message: string) =>
        report(problemAt(document, severity, member.offset, place.path, message));
      const protocol = readProtocol(
        member,
        place,
        childPath(group.path, member.key).slice(path.length + 1),
        decodeKeys,
        report,
      );
      if (!protocol) continue;
      if (protocols.has(protocol.name))
        say("error", `The protocol "${protocol.name}" is enabled twice on this vhost`);
      else if (!protocol.isDefault || fallback === undefined)
        protocols.set(protocol.name, protocol);
      else {
        say("warning", `Only one protocol can be the default; "${fallback}" is it already`);
        protocols.set(protocol.name, { ...protocol, isDefault: false });
      }
      if (protocol.isDefault) fallback ??= protocol.name;
    }
  }
  return [...protocols.values()];
}

function readProtocol(
  member: Member,
  place: Place,
  path: string,
  decodeKeys: DecodeKeys,
  report: Report,
): ProtocolConfig | undefined {
  const { document } = place;
  const isEmpty = member.value.kind === "scalar" && member.value.value === null;
  if (member.key === "" || (member.value.kind !== "object" && !isEmpty)) {
    const message =
      member.key === "" ? "A protocol needs a name" : "Expected an object of options, {} for none";
    report(problemAt(document, "error", member.value.offset, place.path, message));
    return undefined;
  }
  const members = member.value.kind === "object" ? member.value.members : [];
  const isOurs = ({ key }: Member): boolean => SERVER_KEYS.some((keys) => Object.hasOwn(keys, key));
  const object = (kept: readonly Member[]): ObjectNode => ({
    kind: "object",
    members: kept,
    offset: member.value.offset,
  });
  const own = object(members.filter(isOurs));
  const at = { ...place, node: own };
  const found = siftMembers(protocolKind, own, at, report);
  const keys = decodeKeys(found, at, report);
  if (!keys) return undefined;
  const fallback = found.find(({ key }) => key === "default");
  if (fallback && readFlag(plainValue(fallback.node)) === false) {
    const message = 'Counts by being there, as in lwsws: even "0" makes this protocol the default';
    report(problemAt(document, "notice", fallback.node.offset, fallback.path, message));
  }
  return {
    name: member.key,
    keys,
    options: plainObject(object(members.filter((one) => !isOurs(one)))),
    isDefault: fallback !== undefined,
    path,
  };
}

/** Where the keys stand that are not the plugin's. */
const SERVER_KEYS = [protocolKind.shape.shape, protocolKind.others, protocolKind.inert];
