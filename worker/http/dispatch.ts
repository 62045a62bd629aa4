// From a checked request to the mount that answers it, and from its failures to an error page.

import type { MountMatch } from "../router.ts";
import { HttpError, type Exchange } from "./exchange.ts";
import { WHOLE_SERVER } from "./request-head.ts";

/** What the server as a whole understands; a mount may allow less. */
export const SERVER_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/** Lets a mount answer, or answers in its place. Never throws. */
export function dispatch(exchange: Exchange, match: MountMatch | undefined): void {
  if (exchange.path === WHOLE_SERVER) return exchange.send(200, [["Allow", SERVER_METHODS]]);
  // TRACE would hand cookies and credentials back to a script (RFC 9110 9.3.8).
  if (exchange.method === "TRACE") {
    const headers = [["Allow", SERVER_METHODS]] as const;
    return exchange.fail(new HttpError(405, "TRACE is not answered here", { headers }));
  }
  if (!match) return exchange.fail(new HttpError(404, ""));
  try {
    const handled = match.mount.handle(exchange, match.rest);
    handled?.catch((error: unknown) => exchange.fail(error));
  } catch (error) {
    exchange.fail(error);
  }
}
