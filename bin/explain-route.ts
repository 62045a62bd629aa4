// From a URL to the vhosts and mounts that it reaches, by the code that serves: the head of a request is read, and the
// router is asked, as a worker does it.

import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import { vhostKey, wantedListeners } from "../config/listeners.ts";
import type { ServerConfig } from "../config/server.ts";
import { emptyVhostCounters } from "../ipc/stats.ts";
import { resolveAddresses, type AddressPlan } from "../supervisor/addresses.ts";
import { HttpError } from "../worker/http/exchange.ts";
import { normalizeName } from "../worker/http/host.ts";
import { readHead, type RequestHead } from "../worker/http/request-head.ts";
import {
  createRouter,
  createSiteVhost,
  type MountMatch,
  type SiteVhost,
} from "../worker/router.ts";

export type Asked = {
  readonly head: RequestHead;
  readonly secure: boolean;
  readonly isWebSocket: boolean;
  readonly port: number;
  /** Lower case, without a port; an IPv6 address in brackets. */
  readonly host: string;
};

/** One vhost that a URL reaches; with several addresses there may be more than one. */
export type Route = {
  /** Addresses as they are configured. */
  readonly listeners: readonly string[];
  /** Index into ServerConfig.vhosts. */
  readonly vhost: number;
  readonly why: string;
  readonly match: MountMatch | undefined;
};

/** The URL cannot be explained: it is none, or nothing listens for it. */
export class ExplainError extends Error {
  readonly code = "EXPLAIN";
}

/** What a client would send for a URL. The answer to a malformed request comes as the HttpError. */
export function readUrl(text: string): Asked | HttpError {
  const [, scheme = "http", authority = "", behind = ""] =
    /^(?:([a-z][a-z0-9+.-]*):\/\/)?([^/?#]*)([^#]*)/i.exec(text) ?? [];
  const isWebSocket = /^wss?$/i.test(scheme);
  if (!isWebSocket && !/^https?$/i.test(scheme))
    throw new ExplainError(`Expected a URL of http, https, ws or wss, got "${text}"`);
  if (authority === "") throw new ExplainError(`"${text}" names no host`);
  const secure = /^(?:https|wss)$/i.test(scheme);
  const target = asSent(behind.startsWith("/") ? behind : `/${behind}`);
  const head = readHead({
    method: "GET",
    url: target,
    httpVersion: "1.1",
    rawHeaders: ["Host", hostField(authority)],
  });
  if (head instanceof HttpError) return head;
  const sent = head.authority?.text ?? "";
  const port = /:(\d+)$/.exec(sent)?.[1] ?? (secure ? 443 : 80);
  return { head, secure, isWebSocket, port: Number(port), host: head.authority?.host ?? "" };
}

/** Every vhost that the URL reaches, in the order of addresses. Throws ExplainError when nothing listens for it. */
export function findRoutes(config: ServerConfig, asked: Asked): Route[] {
  const { plans } = resolveAddresses(wantedListeners(config));
  const vhosts = config.vhosts.map((_vhost, index) => createVhost(config, index));
  const pick = (indexes: readonly number[]): SiteVhost[] =>
    indexes.flatMap((index) => vhosts[index] ?? []);
  const router = createRouter(
    plans.map(({ key, vhosts: own, overrides }) => ({
      listener: key,
      vhosts: pick(own),
      overrides: overrides.map((one) => ({ address: one.address, vhosts: pick(one.vhosts) })),
    })),
  );
  const found = findListeners(plans, asked).flatMap((plan) =>
    localAddresses(plan, asked.host).map((local) => {
      const vhost = router.find(plan.key, local, asked.host);
      const override = plan.overrides.find(({ address }) => address === local);
      return { listener: override ? `${plan.key} at ${local}` : plan.key, vhost };
    }),
  );
  return [...Map.groupBy(found, ({ vhost }) => vhost)].map(([vhost, ways]) => ({
    listeners: ways.map(({ listener }) => listener),
    vhost: vhosts.indexOf(vhost),
    why: reasonFor(vhost.config.name, asked.host),
    match: vhost.match(asked.head.path),
  }));
}

/** As browsers send it: what is no ASCII, and spaces, as escapes of UTF-8. */
function asSent(text: string): string {
  return text.toWellFormed().replace(/[^!-~]+/g, (found) => encodeURIComponent(found));
}

/** Without what comes before an "@", which clients keep for themselves; names of other scripts as DNS has them. */
function hostField(authority: string): string {
  const host = authority.slice(authority.lastIndexOf("@") + 1);
  // oxlint-disable-next-line no-control-regex -- ASCII is what it looks for
  if (/^[\u0000-\u007f]*$/.test(host)) return host;
  const [, name = "", port = ""] = /^(.*?)(:\d*)?$/.exec(host) ?? [];
  return domainToASCII(name) + port;
}

/** A vhost that can be asked for its mounts; nothing of it runs. */
function createVhost(config: ServerConfig, index: number): SiteVhost {
  const vhost = config.vhosts[index];
  if (!vhost) throw new Error(`No vhost ${index}`);
  return createSiteVhost({
    config: vhost,
    key: vhostKey(vhost),
    secure: vhost["host-ssl-cert"] !== undefined,
    counters: emptyVhostCounters(),
    accessLog: undefined,
    protocols: new Map(),
    mounts: vhost.mounts.map((mount) => ({ config: mount, mount: { handle() {} } })),
  });
}

function findListeners(plans: readonly AddressPlan[], asked: Asked): AddressPlan[] {
  const { port, secure } = asked;
  const reachable = plans.filter((plan) => reaches(plan, asked.host));
  const here = reachable.filter((plan) => portOf(plan) === port);
  // "Any free port" may be this one.
  const candidates = here.length > 0 ? here : reachable.filter((plan) => portOf(plan) === 0);
  const found = candidates.filter((plan) => plan.secure === secure);
  if (found.length > 0) return found;
  const [other] = here;
  if (other)
    throw new ExplainError(
      `${other.key} talks ${other.secure ? "TLS: write https:// or wss://" : "plain HTTP: write http:// or ws://"}`,
    );
  const known = plans.map((plan) => `${plan.key} (${plan.secure ? "https" : "http"})`).join(", ");
  throw new ExplainError(
    `Nothing listens for ${asked.host} on port ${port}; the configuration has ${known === "" ? "no address at all" : known}`,
  );
}

function portOf({ address }: AddressPlan): number | undefined {
  return address.kind === "tcp" ? address.port : undefined;
}

/** A name may lead to any address; an address leads to itself. */
function reaches({ address, overrides }: AddressPlan, host: string): boolean {
  if (address.kind !== "tcp") return false;
  const wanted = bare(host);
  const family = isIP(wanted);
  if (family === 0) return true;
  if (overrides.some((one) => one.address === wanted)) return true;
  return address.host === wanted || address.host === (family === 4 ? "0.0.0.0" : "::");
}

/** The addresses of this machine behind one socket that have vhosts of their own, "" for all others. */
function localAddresses({ overrides }: AddressPlan, host: string): string[] {
  const addresses = overrides.map((one) => one.address);
  const wanted = bare(host);
  if (isIP(wanted) !== 0) return [addresses.includes(wanted) ? wanted : ""];
  return ["", ...addresses];
}

function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}

function reasonFor(name: string, host: string): string {
  if (normalizeName(name) === host) return "it has this name";
  const suffix = name.startsWith("*.") ? normalizeName(name.slice(2)) : undefined;
  if (suffix !== undefined && host.slice(host.indexOf(".") + 1) === suffix)
    return `"${host}" fits this name`;
  return `no vhost here is called "${host}", and this is the first one of the address`;
}
