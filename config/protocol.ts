// One protocol plugin, as a vhost enables it: a member of "ws-protocols".

import { problemAt } from "./document.ts";
import { inertProtocolKeys, isMissed } from "./inert-keys.ts";
import type { Place } from "./members.ts";
import type { Report } from "./problems.ts";
import { readFlag } from "./shape.ts";
import { childPath, plainObject, plainValue, type Member, type ObjectNode } from "./tree.ts";

export type ProtocolConfig = {
  readonly name: string;
  /** As written in the file; the plugin's own shape decodes them in the worker. An option given twice is an array. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Serves WebSocket clients that name no protocol. */
  readonly isDefault: boolean;
  /** Where it stands, for messages: "ws-protocols[0].lws-status". */
  readonly path: string;
};

/** Reads "ws-protocols": one object with a member for each protocol, or an array of such objects. `path` is that of the vhost. */
export function readProtocols({ node, path, document }: Place, report: Report): ProtocolConfig[] {
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
  const options: Member[] = [];
  let isDefault = false;
  for (const option of member.value.kind === "object" ? member.value.members : []) {
    const optionPath = childPath(place.path, option.key);
    const value = plainValue(option.value);
    const inert = Object.hasOwn(inertProtocolKeys, option.key)
      ? inertProtocolKeys[option.key]
      : undefined;
    if (option.key === "default") {
      if (value === null) continue;
      isDefault = true;
      if (readFlag(value) !== false) continue;
      const message =
        'Counts by being there, as in lwsws: even "0" makes this protocol the default';
      report(problemAt(document, "notice", option.offset, optionPath, message));
    } else if (inert) {
      if (value === null || !isMissed(inert, value)) continue;
      const [severity, end] = inert.isGuard
        ? (["error", ", and without it this would stand open"] as const)
        : (["notice", ""] as const);
      report(
        problemAt(
          document,
          severity,
          option.offset,
          optionPath,
          `"${option.key}" ${inert.says}${end}`,
        ),
      );
      // "status" is lwsws's way of having at least one option; its core never reads it.
    } else if (option.key !== "status") options.push(option);
  }
  const object: ObjectNode = { kind: "object", members: options, offset: member.value.offset };
  return {
    name: member.key,
    options: plainObject(object),
    isDefault,
    path,
  };
}
