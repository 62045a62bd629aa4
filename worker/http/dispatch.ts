// From a checked request over the guard to the mount that answers it, and from its failures to an error page.

import { AsyncResource } from "node:async_hooks";
import { admit, type Guard, type Verdict } from "../access/guard.ts";
import type { MountMatch } from "../router.ts";
import { HttpError, type Exchange } from "./exchange.ts";
import { WHOLE_SERVER } from "./request-head.ts";

/** What the server as a whole understands; a mount may allow less. */
export const SERVER_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/** What a mount keeps of a request in an AsyncLocalStorage is not for the next one that came in the same read. */
const scope = new AsyncResource("PORTICO_REQUEST");

/** Lets a mount answer, or answers in its place. `guard` stands where no mount matches. Never throws. */
export function dispatch(
  exchange: Exchange,
  match: MountMatch | undefined,
  guard: Guard | undefined,
): void {
  // First of all, so that no other answer tells what there is: not 404, not a redirect, not the methods of a mount.
  const verdict = admit(match ? match.guard : guard, exchange);
  if (!(verdict instanceof Promise)) return proceed(exchange, match, verdict);
  verdict
    .then((decided) => proceed(exchange, match, decided))
    .catch((error: unknown) => exchange.fail(error));
}

function proceed(exchange: Exchange, match: MountMatch | undefined, verdict: Verdict): void {
  if (verdict instanceof HttpError) return exchange.fail(verdict);
  exchange.user = verdict.user;
  if (exchange.path === WHOLE_SERVER) return exchange.send(200, [["Allow", SERVER_METHODS]]);
  // TRACE would hand cookies and credentials back to a script (RFC 9110 9.3.8).
  if (exchange.method === "TRACE") {
    const headers = [["Allow", SERVER_METHODS]] as const;
    return exchange.fail(new HttpError(405, "TRACE is not answered here", { headers }));
  }
  if (!match || match.headers.pages?.isDocument(exchange.path))
    return exchange.fail(new HttpError(404, ""));
  try {
    const { mount, rest } = match;
    const handled = scope.runInAsyncScope(() => mount.handle(exchange, rest));
    handled?.catch((error: unknown) => exchange.fail(error));
  } catch (error) {
    exchange.fail(error);
  }
}
