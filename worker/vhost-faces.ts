// How a vhost shows itself to a connection: whole; in clear on a TLS port, as its keys allow; or refused, because the
// connection was made under other rules for client certificates than the vhost has (RFC 9110 15.5.20).

import { mountShape, type MountConfig } from "../config/mount.ts";
import { clientRules } from "../config/tls-settings.ts";
import { HttpError, type Exchange } from "./http/exchange.ts";
import type { Arrival, SiteVhost } from "./site-vhost.ts";

/** Chooses the face of a vhost for each connection; `inClear` makes the vhost as it would be without TLS. */
export function createFaces(
  vhost: Omit<SiteVhost, "seenBy">,
  inClear: () => SiteVhost,
): SiteVhost["seenBy"] {
  const { config, secure } = vhost;
  const rules = clientRules(config);
  const whole = vhost as SiteVhost;
  let misdirected: SiteVhost | undefined;
  let clear: SiteVhost | undefined;
  return (connection: Arrival) => {
    if (!secure) return whole;
    if (!connection.secure) return (clear ??= clearFace(config, inClear()));
    if ((connection.tls?.clientRules ?? "") === rules) return whole;
    return (misdirected ??= refused(whole, MISDIRECTED));
  };
}

/** Whether a vhost answers anything but 400 in clear. */
export function takesClear(config: SiteVhost["config"]): boolean {
  return config["redirect-http"] || config["allow-http-on-https"];
}

const MISDIRECTED = new HttpError(
  421,
  "This host asks for client certificates in another way than the one this connection was made for",
);

/** For whoever speaks plain text to a port with TLS. */
export const SPEAK_TLS = new HttpError(
  400,
  "This port speaks TLS: use https:// instead of http://",
);

function clearFace(config: SiteVhost["config"], vhost: SiteVhost): SiteVhost {
  if (config["allow-http-on-https"] && clientRules(config) === "") return vhost;
  const closed = refused(vhost, SPEAK_TLS);
  if (!config["redirect-http"]) return closed;
  const match = { config: GATE, mount: { handle: redirect }, headers: vhost.headers };
  return { ...closed, guard: undefined, match: (path) => ({ ...match, rest: path }) };
}

/** Nothing of the vhost is reached: the guard stands before everything. */
function refused(vhost: SiteVhost, refusal: HttpError): SiteVhost {
  const guard = { rules: [() => refusal], password: undefined };
  return { ...vhost, protocols: new Map(), refusal, guard, match: () => undefined };
}

/** Without a Host (HTTP/1.0) there is no address to send anybody to. */
function redirect(exchange: Exchange): void {
  if (exchange.authority === undefined) throw SPEAK_TLS;
  exchange.send(301, [["Location", `https://${exchange.authority}${exchange.target}`]]);
}

/** Stands for no mount of the configuration. */
const GATE: MountConfig = Object.freeze({
  ...mountShape.parse({ mountpoint: "/", origin: ">https://gate.invalid" }),
  path: "",
});
