// What the keys about access do together, where that may not be what was meant. Pure.

import type { VhostDraft } from "./decode.ts";
import { isSecure } from "./listeners.ts";
import type { MountConfig, Origin } from "./mount.ts";
import type { Severity } from "./problems.ts";
import { shown } from "./shape.ts";

type Say = (path: string, severity: Severity, message: string) => void;

/** Reports keys without effect, and doors that stand open beside closed ones. */
export function checkAccess(vhost: VhostDraft, isBehindProxies: boolean, say: Say): void {
  const { mounts, protocols } = vhost;
  const guarded = mounts.filter((mount) => mount["basic-auth"] !== undefined);
  const keys = [...mounts, ...protocols.map(({ path, keys: own }) => ({ path, ...own }))];
  for (const { path, "basic-auth": file, "basic-auth-realm": realm } of keys)
    if (realm !== undefined && file === undefined)
      say(`${path}.basic-auth-realm`, "notice", "Has no effect without basic-auth");
  for (const mount of mounts) checkMount(mount, say);
  checkInterceptors(mounts, say);
  if (!isBehindProxies) checkTransport(vhost, say);
  if (guarded.length === 0) return;
  checkNesting(mounts, say);
  const isWhole = guarded.length === mounts.length && mounts.some(isRoot);
  const open = protocols.filter(({ keys: own }) => own["basic-auth"] === undefined);
  const [first] = open;
  if (first === undefined || isWhole) return;
  const names = open.map(({ name }) => shown(name)).join(", ");
  const message = `WebSockets of ${names} can be opened at any path, also outside of the mounts that ask for a password; give ${open.length === 1 ? "it" : "them"} basic-auth too if that is not meant`;
  say(first.path, "notice", message);
}

function checkMount(mount: MountConfig, say: Say): void {
  const { path, allow, deny, satisfy, "basic-auth": file } = mount;
  const hasRules = allow !== undefined || deny !== undefined;
  if (satisfy === "any" && (!hasRules || file === undefined)) {
    const missing = hasRules ? "basic-auth" : "allow or deny";
    say(`${path}.satisfy`, "notice", `Has no effect without ${missing} on the same mount`);
  }
  if (file !== undefined && mount["cache-intermediaries"])
    say(
      `${path}.cache-intermediaries`,
      "warning",
      "Lets caches on the way give answers of this mount to people without a password",
    );
}

type CallbackMount = MountConfig & {
  readonly origin: Extract<Origin, { readonly scheme: "callback" }>;
};

/** The callback mount at an "interceptor-path". */
export function findInterceptor(
  mounts: readonly MountConfig[],
  path: string,
): CallbackMount | undefined {
  return mounts.find(
    (mount): mount is CallbackMount =>
      mount.mountpoint === path && mount.origin.scheme === "callback",
  );
}

function checkInterceptors(mounts: readonly MountConfig[], say: Say): void {
  for (const { path, "interceptor-path": first } of mounts) {
    const seen = new Set<string>();
    for (let at = first; at !== undefined;) {
      const message = seen.has(at)
        ? `Leads back to ${shown(at)}, which cannot be asked before itself`
        : `No callback:// mount of this vhost has the mountpoint ${shown(at)}`;
      const next = findInterceptor(mounts, at);
      if (!next || seen.has(at)) {
        say(`${path}.interceptor-path`, "error", message);
        break;
      }
      seen.add(at);
      at = next["interceptor-path"];
    }
  }
}

/** A mount inside another one has none of its keys. */
function checkNesting(mounts: readonly MountConfig[], say: Say): void {
  const byPoint = new Map(mounts.map((mount) => [mount.mountpoint, mount]));
  for (const { path, mountpoint, "basic-auth": own } of mounts) {
    if (own !== undefined || mountpoint === "/") continue;
    const around = ancestors(mountpoint).find((point) => byPoint.has(point)) ?? "";
    if (byPoint.get(around)?.["basic-auth"] === undefined) continue;
    const message = `Open without a password, although ${shown(around)} around it asks for one; give it basic-auth too if that is not meant`;
    say(`${path}.mountpoint`, "notice", message);
  }
}

/** "/a/b" and "/a" and "/" for "/a/b/c". */
function ancestors(mountpoint: string): string[] {
  const segments = mountpoint.split("/").slice(1, -1);
  return segments
    .map((_, index) => `/${segments.slice(0, segments.length - index).join("/")}`)
    .concat("/");
}

function checkTransport({ keys, mounts, protocols }: VhostDraft, say: Say): void {
  if (!keys || isSecure(keys) || keys["unix-socket"]) return;
  const guarded = [...mounts, ...protocols.map(({ path, keys: own }) => ({ path, ...own }))];
  const first = guarded.find((one) => one["basic-auth"] !== undefined);
  if (first)
    say(
      `${first.path}.basic-auth`,
      "notice",
      "Passwords come in clear: this vhost has no TLS, and no trusted proxy in front of it that may have",
    );
}

function isRoot({ mountpoint }: MountConfig): boolean {
  return mountpoint === "/";
}
