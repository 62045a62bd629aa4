// What a request on Node's HTTP/1.1 parser said, for the access log.

import type { IncomingMessage } from "node:http";
import type { ByteString } from "./exchange.ts";

/** The first line of a request as it was sent. */
export function requestLine(request: IncomingMessage): ByteString {
  return `${request.method} ${request.url} HTTP/${request.httpVersion}`;
}
