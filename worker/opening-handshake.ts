// What an opening handshake asks for (RFC 6455 4.2), and whether it may have it: version and key, the protocol among those of
// the vhost, the page it comes from. Pure.

import type { IncomingMessage } from "node:http";
import type { HeaderPair } from "../config/vhost.ts";
import type { ProtocolHost } from "./protocol-host.ts";

const WEBSOCKET_VERSION = "13";
const HANDSHAKE_KEY = /^[+/0-9A-Za-z]{22}==$/;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Why there will be no WebSocket. */
export type Refusal = {
  readonly status: number;
  readonly message: string;
  readonly headers?: readonly HeaderPair[];
};

/** What is wrong with the opening handshake (RFC 6455 4.2.1) of what the front knows to be a GET for "websocket" without a body. */
export function refusalOf({ headers }: IncomingMessage): Refusal | undefined {
  if (headers["sec-websocket-version"] !== WEBSOCKET_VERSION)
    return {
      status: 426,
      message: `Expected Sec-WebSocket-Version ${WEBSOCKET_VERSION}`,
      headers: [
        ["Sec-WebSocket-Version", WEBSOCKET_VERSION],
        ["Upgrade", "websocket"],
      ],
    };
  if (!HANDSHAKE_KEY.test(headers["sec-websocket-key"] ?? ""))
    return { status: 400, message: "Expected a Sec-WebSocket-Key of 16 bytes in base64" };
  return undefined;
}

/** A page of another site must not speak with its visitor's cookies: Origin has to name the authority of Host, or be configured. */
export function refusalOfOrigin(
  request: IncomingMessage,
  protocol: ProtocolHost | undefined,
): Refusal | undefined {
  const { origin, host } = request.headers;
  if (origin === undefined || protocol?.admits(origin)) return undefined;
  const from = URL.parse(origin);
  // Parsed with the Origin's scheme, so a default port may stand on either side.
  const to = from && URL.parse(`${from.protocol}//${host ?? ""}`);
  if (from && to && from.host !== "" && from.host === to.host) return undefined;
  return { status: 403, message: "WebSockets are open to pages of this host only" };
}

/** The first offered protocol the vhost has, its default where none is offered. */
export function chooseProtocol(
  request: IncomingMessage,
  protocols: ReadonlyMap<string, ProtocolHost>,
): ProtocolHost | Refusal {
  const header = request.headers["sec-websocket-protocol"];
  if (header === undefined) {
    for (const host of protocols.values()) if (host.isDefault) return host;
    return { status: 400, message: "Name a protocol in Sec-WebSocket-Protocol" };
  }
  const offered = header.split(",").map((name) => name.trim());
  if (!offered.every((name) => TOKEN.test(name)) || new Set(offered).size !== offered.length)
    return { status: 400, message: "Sec-WebSocket-Protocol is not a list of different tokens" };
  for (const name of offered) {
    const host = protocols.get(name);
    if (host) return host;
  }
  return { status: 400, message: "None of the offered WebSocket protocols is served here" };
}
