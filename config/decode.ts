// Trees of all files -> vhosts, mounts and protocols, still without the rules that look across them.
// A part that cannot be decoded is reported and left out; the others go on, so that everything is found in one run.

import { isIP } from "node:net";
import { resolve } from "node:path";
import { placeName, problemAt, problemNear, type ConfigDocument } from "./document.ts";
import { fileKind, globalKind, mountKind, protocolKind, vhostKind } from "./kinds.ts";
import {
  createMemberDecoder,
  siftMembers,
  spread,
  type Found,
  type MemberDecoder,
  type Place,
} from "./members.ts";
import { keysOfSchemes, type MountConfig } from "./mount.ts";
import { locateOrigin, parseOrigin, type Origin } from "./origin.ts";
import type { Report } from "./problems.ts";
import type { ProtocolConfig } from "./protocol.ts";
import { readProtocols } from "./protocols.ts";
import type { GlobalConfig } from "./server.ts";
import { shown } from "./shape.ts";
import { childPath, plainValue, type Node, type ObjectNode } from "./tree.ts";
import type { VhostConfig, VhostKeys } from "./vhost.ts";

/** A vhost as far as it could be read. */
export type VhostDraft = {
  readonly where: VhostConfig["where"];
  readonly keys: VhostKeys | undefined;
  readonly mounts: readonly MountConfig[];
  readonly protocols: readonly ProtocolConfig[];
};

export type Draft = {
  readonly global: GlobalConfig | undefined;
  /** The values of "plugin-dir", in the order of `global["plugin-dir"]`; they may come from several files. */
  readonly pluginDirs: readonly Place[];
  readonly vhosts: readonly VhostDraft[];
  /** Something that should be a vhost was none. */
  readonly isVhostLost: boolean;
};

/** Reads all documents in order. `exists` decides between two readings of a relative origin. */
export function decodeDocuments(
  documents: readonly ConfigDocument[],
  exists: (path: string) => boolean,
  report: Report,
): Draft {
  const reading: Reading = {
    report,
    vhostKeys: createMemberDecoder(vhostKind),
    mountKeys: createMemberDecoder(mountKind),
    protocolKeys: createMemberDecoder(protocolKind),
    located: createOriginLocator(exists),
  };
  const globals: Found[] = [];
  const vhosts: VhostDraft[] = [];
  let isVhostLost = false;
  const lostVhost: Report = (problem) => {
    isVhostLost = true;
    report(problem);
  };
  for (const document of documents) {
    const top = { node: document.root, path: "", document };
    for (const part of siftMembers(fileKind, document.root, top, report)) {
      if (part.key === "global") {
        const section = expectObject(part, report);
        if (section) globals.push(...siftMembers(globalKind, section, part, report));
      } else if (part.key === "vhosts")
        for (const place of elements(part, "vhosts", lostVhost)) {
          const vhost = expectObject(place, lostVhost);
          if (vhost) vhosts.push(decodeVhost(vhost, place, reading));
        }
    }
  }
  const pluginDirs = globals.filter((found) => found.key === "plugin-dir").flatMap(spread);
  return { global: decodeGlobal(globals, documents, report), pluginDirs, vhosts, isVhostLost };
}

/** What one reading works with. */
type Reading = {
  readonly report: Report;
  readonly vhostKeys: MemberDecoder<typeof vhostKind.shape>;
  readonly mountKeys: MemberDecoder<typeof mountKind.shape>;
  readonly protocolKeys: MemberDecoder<typeof protocolKind.shape>;
  readonly located: (origin: Origin, directory: string) => Origin;
};

/** Ten thousand mounts may have one origin, which is one object then: it is looked for once. */
function createOriginLocator(exists: (path: string) => boolean): Reading["located"] {
  const byDirectory = new Map<string, Map<Origin, Origin>>();
  return (origin, directory) => {
    const known = byDirectory.get(directory) ?? new Map<Origin, Origin>();
    byDirectory.set(directory, known);
    const located = known.get(origin) ?? locateOrigin(origin, directory, exists);
    known.set(origin, located);
    return located;
  };
}

function decodeGlobal(
  found: readonly Found[],
  documents: readonly ConfigDocument[],
  report: Report,
): GlobalConfig | undefined {
  const winners = new Map<string, Found>();
  const repeated: Found[] = [];
  for (const one of found) {
    if (one.key === "plugin-dir") repeated.push(one);
    else {
      const earlier = winners.get(one.key);
      if (earlier) sayWhichHolds(earlier, one, report);
      winners.set(one.key, one);
    }
  }
  const [document] = documents;
  if (!document) return undefined;
  const place = { node: document.root, path: "global", document };
  return createMemberDecoder(globalKind)([...winners.values(), ...repeated], place, report);
}

function sayWhichHolds(earlier: Found, later: Found, report: Report): void {
  const [before, now] = [plainValue(earlier.node), plainValue(later.node)];
  if (earlier.document === later.document || JSON.stringify(before) === JSON.stringify(now)) return;
  const message = `${shown(now)} holds, as the last one read; ${placeName(earlier.document, earlier.node)} says ${shown(before)}`;
  report(problemAt(later.document, "notice", later.node.offset, later.path, message));
}

function decodeVhost(vhost: ObjectNode, place: Place, reading: Reading): VhostDraft {
  const { document, path } = place;
  const { report } = reading;
  const found = siftMembers(vhostKind, vhost, place, report);
  const mounts = found
    .filter((one) => one.key === "mounts")
    .flatMap((one) => elements(one, "mounts", report))
    .map((mount) => decodeMount(mount, mount.path.slice(path.length + 1), reading))
    .filter((mount) => mount !== undefined);
  const protocols = found
    .filter((one) => one.key === "ws-protocols")
    .flatMap((one) => readProtocols({ ...one, path }, reading.protocolKeys, report));
  const keys = reading.vhostKeys(found, place, report);
  return {
    where: { file: document.file, path },
    keys: keys && withSocketPath(keys, place, report),
    mounts,
    protocols,
  };
}

function withSocketPath(keys: VhostKeys, { document, path: at }: Place, report: Report): VhostKeys {
  const path = keys.interface;
  if (!keys["unix-socket"] || path === undefined || path.startsWith("@")) return keys;
  if (!path.includes("/")) {
    const [severity, message] =
      isIP(path) === 0
        ? (["notice", `Taken for a socket beside this file; "./${path}" says so`] as const)
        : (["error", `${shown(path)} is an address, and unix-socket is on`] as const);
    report(problemNear(document, severity, childPath(at, "interface"), message));
  }
  return { ...keys, interface: resolve(document.directory, path) };
}

function decodeMount(place: Place, path: string, reading: Reading): MountConfig | undefined {
  const { report } = reading;
  const mount = expectObject(place, report);
  if (!mount) return undefined;
  const { members, before } = readSecondOrigin(mount, place, report);
  const found = siftMembers(mountKind, { ...mount, members }, place, report);
  const keys = reading.mountKeys(found, place, report);
  if (!keys) return undefined;
  for (const { key, node, path: at } of found) {
    const { scheme } = keys.origin;
    const schemes = keysOfSchemes[key];
    if (!schemes || schemes.includes(scheme)) continue;
    if (before !== undefined && schemes.includes("callback")) continue;
    const message = `Has no effect on a ${scheme} mount`;
    report(problemAt(place.document, "notice", node.offset, at, message));
  }
  if (keys.origin.scheme === "file" && keys.default === "") {
    const message = "Expected the name of a file below the directory";
    report(problemNear(place.document, "error", childPath(place.path, "default"), message));
  }
  return {
    ...keys,
    origin: reading.located(keys.origin, place.document.directory),
    path,
    ...(before !== undefined && { before }),
  };
}

/** lwsws lets a mount have a second origin, a protocol that sees requests before the first one serves them. */
function readSecondOrigin(
  mount: ObjectNode,
  { document, path }: Place,
  report: Report,
): { readonly members: ObjectNode["members"]; readonly before: string | undefined } {
  const [first, ...others] = mount.members.filter((member) => member.key === "origin");
  if (others.length === 0) return { members: mount.members, before: undefined };
  let before: string | undefined;
  for (const other of others) {
    const value = plainValue(other.value);
    const parsed = typeof value === "string" ? parseOrigin(value) : "";
    if (before === undefined && typeof parsed === "object" && parsed.scheme === "callback") {
      before = parsed.protocol;
      continue;
    }
    const at = first ? placeName(document, first) : "";
    const message = `Given twice in one mount; first at ${at}, and only one more is taken, a "callback://" that sees requests first`;
    report(problemAt(document, "error", other.offset, childPath(path, "origin"), message));
  }
  const members = mount.members.filter((member) => member.key !== "origin" || member === first);
  return { members, before };
}

function elements(place: Place, what: string, report: Report): Place[] {
  const { node, path, document } = place;
  if (node.kind === "array")
    return node.items.map((item, index) => ({
      node: item,
      path: childPath(path, index),
      document,
    }));
  report(
    problemAt(
      document,
      "error",
      node.offset,
      path,
      `Expected an array of ${what}, got ${shown(plainValue(node))}`,
    ),
  );
  return [];
}

function expectObject(
  place: { node: Node; path: string; document: ConfigDocument },
  report: Report,
): ObjectNode | undefined {
  const { node, path, document } = place;
  if (node.kind === "object") return node;
  report(
    problemAt(
      document,
      "error",
      node.offset,
      path,
      `Expected an object, got ${shown(plainValue(node))}`,
    ),
  );
  return undefined;
}
