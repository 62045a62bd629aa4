// Who the client of a request is when it came through proxies that are believed. What comes out of here is what logs,
// rules, programs and protocols see; nothing else reads X-Forwarded-For.

import { isIP } from "node:net";
import type { Client, Connection } from "./http/connection.ts";
import { stampRequest } from "./request-id.ts";
import { createNetworks, plainAddress, type Networks } from "./networks.ts";

/**
 * Tells who asks. `rawHeaders` alternates names and values; where requests get identifiers, the one of this request is left
 * in it. Undefined where there is nothing to find out: then the connection tells.
 */
export type Identify = (connection: Connection, rawHeaders: string[]) => Client;

export type IdentifyOptions = {
  /** Networks of proxies that are believed. */
  readonly trusted: readonly string[];
  readonly givesIds: boolean;
};

/** Proxies in a row that are followed; what stands before them is not looked at. */
const MAX_HOPS = 32;

/** Prepares it for one vhost. */
export function createIdentify({ trusted, givesIds }: IdentifyOptions): Identify | undefined {
  if (trusted.length === 0 && !givesIds) return undefined;
  const proxies = createNetworks(trusted);
  return (connection, rawHeaders) => {
    const isProxied = proxies.has(connection.remoteAddress);
    const client = isProxied ? clientBehind(connection, rawHeaders, proxies) : connection;
    return givesIds
      ? { ...fieldsOf(client), requestId: stampRequest(rawHeaders, isProxied) }
      : client;
  };
}

/** The connection as the client made it to the first proxy. */
function clientBehind(
  connection: Connection,
  rawHeaders: readonly string[],
  proxies: Networks,
): Connection {
  const chain = fieldOf(rawHeaders, "x-forwarded-for");
  const remoteAddress = chain === undefined ? undefined : findClient(chain, proxies);
  return {
    ...fieldsOf(connection),
    // The port that belongs to an address behind a proxy is not known here.
    ...(remoteAddress !== undefined && { remoteAddress, remotePort: 0 }),
    secure: readScheme(fieldOf(rawHeaders, "x-forwarded-proto")) ?? connection.secure,
  };
}

/** A copy has to name what a connection finds out when it is asked. */
function fieldsOf(connection: Connection): Connection {
  const { remoteAddress, remotePort, localAddress, localPort } = connection;
  return { ...connection, remoteAddress, remotePort, localAddress, localPort };
}

/**
 * Each proxy adds the address it was asked from, so the list is true from its right end up to the first address that is no
 * proxy of ours; anything left of that was written by the client itself.
 */
function findClient(chain: string, proxies: Networks): string | undefined {
  let client: string | undefined;
  let end = chain.length;
  for (let hops = 0; hops < MAX_HOPS && end >= 0; hops += 1) {
    const comma = end === 0 ? -1 : chain.lastIndexOf(",", end - 1);
    const address = readAddress(chain.slice(comma + 1, end));
    // A proxy that says "unknown", or what is no address at all: the one before it is the last that is known.
    if (address === undefined) return client;
    client = address;
    if (!proxies.has(address)) return client;
    end = comma;
  }
  return client;
}

/** "192.0.2.1", "192.0.2.1:4711", "2001:db8::1", "[2001:db8::1]:4711". */
function readAddress(text: string): string | undefined {
  const entry = text.trim();
  if (isIP(entry) !== 0) return zoneless(entry);
  const [, bracketed, dotted] =
    /^(?:\[([\da-fA-F:.]{2,45})\]|([\d.]{7,15}))(?::\d{1,5})?$/.exec(entry) ?? [];
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? zoneless(bracketed) : undefined;
  return dotted !== undefined && isIP(dotted) === 4 ? dotted : undefined;
}

/** isIP() takes "fe80::1%anything", and that would stand in the log. */
function zoneless(address: string): string | undefined {
  return address.includes("%") ? undefined : plainAddress(address);
}

/** The proxy next to us writes it, or adds to it on the right. */
function readScheme(value: string | undefined): boolean | undefined {
  const scheme = value
    ?.slice(value.lastIndexOf(",") + 1)
    .trim()
    .toLowerCase();
  if (scheme === "https" || scheme === "wss") return true;
  return scheme === "http" || scheme === "ws" ? false : undefined;
}

/** All values of a field, joined in order. */
function fieldOf(rawHeaders: readonly string[], name: string): string | undefined {
  let value: string | undefined;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const candidate = rawHeaders[at] ?? "";
    if (candidate.length !== name.length || candidate.toLowerCase() !== name) continue;
    const own = rawHeaders[at + 1] ?? "";
    value = value === undefined ? own : `${value},${own}`;
  }
  return value;
}
