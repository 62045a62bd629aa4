// What must hold between keys, mounts and vhosts, once each of them could be read. Pure.

import { isIP } from "node:net";
import { checkAccess } from "./access-rules.ts";
import { checkRaw } from "./raw-rules.ts";
import type { Draft, VhostDraft } from "./decode.ts";
import { familiesOf, isSecure, listenersOf, type WantedListener } from "./listeners.ts";
import type { Report, Severity } from "./problems.ts";
import { shown } from "./shape.ts";
import { checkAlpn, createTlsChecker } from "./tls-rules.ts";
import type { VhostKeys } from "./vhost.ts";

/** Finds the place of `path` below a vhost or another named place. */
export type PlaceOf = (
  where: VhostDraft["where"],
  path: string,
  severity: Severity,
  message: string,
) => Parameters<Report>[0];

/** Reports everything that cannot work, or does not do what it seems to. */
export function checkRules(draft: Draft, placeOf: PlaceOf, report: Report): void {
  const checkTls = createTlsChecker(draft.global);
  if (draft.global?.["default-alpn"] !== undefined)
    checkAlpn("default-alpn", draft.global["default-alpn"], (path, severity, message) =>
      report(placeOf({ file: "", path: "global" }, path, severity, message)),
    );
  for (const vhost of draft.vhosts) {
    const say: Say = (path, severity, message) =>
      report(placeOf(vhost.where, path, severity, message));
    if (vhost.keys) {
      checkAddress(vhost.keys, say);
      checkTls(vhost.keys, say);
      checkRaw(vhost.keys, vhost.protocols, say);
    }
    const proxies = vhost.keys?.["trusted-proxies"] ?? draft.global?.["trusted-proxies"] ?? [];
    const isBehindProxies = proxies.length > 0 || vhost.keys?.["proxy-protocol"] !== undefined;
    checkAccess(vhost, isBehindProxies, say);
    checkMounts(vhost, (path) => name(placeOf(vhost.where, path, "error", "")), say);
  }
  for (const listener of listenersOf(draft.vhosts.map((vhost) => vhost.keys)))
    checkSharing(listener, draft, placeOf, report);
}

type Say = (path: string, severity: Severity, message: string) => void;

/** sun_path of unix(7) less its closing NUL; a longer path would be cut silently. */
const MAX_SOCKET_PATH_BYTES = 107;

function checkAddress(vhost: VhostKeys, say: Say): void {
  if (vhost["unix-socket"]) {
    if (vhost.interface === undefined)
      say(
        "unix-socket",
        "error",
        'A unix-socket vhost needs "interface", the path of its socket or @name',
      );
    else if (Buffer.byteLength(vhost.interface) > MAX_SOCKET_PATH_BYTES)
      say(
        "interface",
        "error",
        `The path of a Unix socket can have ${MAX_SOCKET_PATH_BYTES} bytes; ${shown(vhost.interface)} is longer`,
      );
    const unused = {
      port: vhost.port,
      noipv6: vhost.noipv6 || undefined,
      ipv6only: vhost.ipv6only,
    };
    for (const [key, value] of Object.entries(unused))
      if (value !== undefined)
        say(key, "notice", "Has no effect: this vhost listens on a Unix socket");
    return;
  }
  if (vhost.port === undefined)
    say("", "error", 'Missing: a vhost needs "port", or "unix-socket" with "interface"');
  if (vhost["unix-socket-perms"] !== undefined)
    say("unix-socket-perms", "notice", "Has no effect: unix-socket is off");
  if (vhost.interface?.startsWith("/") || vhost.interface?.startsWith("@"))
    say(
      "interface",
      "error",
      `${shown(vhost.interface)} is the name of a Unix socket, and unix-socket is off`,
    );
  else if (familiesOf(vhost).length === 0) {
    const bound = vhost.interface === undefined ? "" : ` and interface ${shown(vhost.interface)}`;
    const key = vhost.noipv6 ? "noipv6" : "ipv6only";
    const both = vhost.noipv6 && vhost.ipv6only === true ? "noipv6 and ipv6only" : key;
    say(key, "error", `${both}${bound} leave no address to listen on`);
  }
}

/** "", "." or "..". */
const ODD_SEGMENT = /\/\.{0,2}(?:\/|$)/;

function checkMounts(vhost: VhostDraft, placeName: (path: string) => string, say: Say): void {
  const seen = new Map<string, string>();
  for (const mount of vhost.mounts) {
    // An exact mount and one for everything below may well stand on the same path.
    const key = `${mount["exact-match"]} ${mount.mountpoint}`;
    const earlier = seen.get(key);
    const path = `${mount.path}.mountpoint`;
    if (earlier !== undefined)
      say(
        path,
        "warning",
        `This mount can never match: ${shown(mount.mountpoint)} belongs to the mount at ${placeName(earlier)}`,
      );
    else seen.set(key, path);
    if (mount.mountpoint !== "/" && ODD_SEGMENT.test(mount.mountpoint))
      say(
        path,
        "warning",
        `This mount can never match: request paths have no "//", "." or ".." segments`,
      );
    if (/%[\dA-Fa-f]{2}/.test(mount.mountpoint))
      say(
        path,
        "warning",
        "Written decoded: this one matches a request only where it sends the percent sign as %25",
      );
  }
}

function checkSharing(
  listener: WantedListener,
  draft: Draft,
  placeOf: PlaceOf,
  report: Report,
): void {
  const sharing = listener.vhosts.flatMap((index) => draft.vhosts[index] ?? []);
  const [first] = sharing;
  const names = new Map<string, VhostDraft>();
  for (const vhost of sharing) {
    if (!first?.keys || !vhost.keys) continue;
    const { keys, where } = vhost;
    const firstPlace = name(placeOf(first.where, "", "error", ""));
    if (isSecure(keys) !== isSecure(first.keys)) {
      const [here, there] = isSecure(keys) ? ["TLS", "plain HTTP"] : ["plain HTTP", "TLS"];
      const message = `Wants ${here} on ${address(listener)}, where the vhost at ${firstPlace} has ${there}; one address cannot do both`;
      report(placeOf(where, "host-ssl-cert", "error", message));
    }
    if (proxyList(keys) !== proxyList(first.keys)) {
      const message = `Differs from the vhost at ${firstPlace}; a PROXY header comes before it is known which vhost of ${address(listener)} is asked for`;
      report(placeOf(where, "proxy-protocol", "error", message));
    }
    if (keys["unix-socket-perms"] !== first.keys["unix-socket-perms"] && listener.kind === "unix") {
      const message = `Has no effect: the vhost at ${firstPlace} decides about ${address(listener)}`;
      report(placeOf(where, "unix-socket-perms", "warning", message));
    }
    if (isSecure(keys) && isIP(keys.name) !== 0 && !hasSamePair(keys, first.keys)) {
      const message = `Clients send no address in TLS (RFC 6066 3), so they are shown the certificate of the vhost at ${firstPlace}`;
      report(placeOf(where, "name", "notice", message));
    }
    const host = keys.name.toLowerCase();
    const twin = names.get(host);
    if (twin) {
      const place = name(placeOf(twin.where, "name", "error", ""));
      report(
        placeOf(
          where,
          "name",
          "error",
          `Another vhost is called ${shown(keys.name)} on ${address(listener)}, at ${place}`,
        ),
      );
    } else names.set(host, vhost);
  }
}

function proxyList(vhost: VhostKeys): string {
  return vhost["proxy-protocol"]?.toSorted().join() ?? "";
}

function hasSamePair(one: VhostKeys, other: VhostKeys): boolean {
  return one["host-ssl-cert"] === other["host-ssl-cert"];
}

function address(listener: WantedListener): string {
  if (listener.kind === "unix") return listener.path;
  return `${listener.interface ?? "*"}:${listener.port}`;
}

function name(problem: Parameters<Report>[0]): string {
  return `${problem.file}:${problem.line ?? 1}:${problem.column ?? 1}`;
}
