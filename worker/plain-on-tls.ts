// Plain text on a port that speaks TLS: a 400 that says so, counted and logged like any answer, then the end.

import type { Socket } from "node:net";
import type { Counters } from "./counters.ts";
import type { Connection } from "./http/connection.ts";
import { settle } from "./http/ledger.ts";
import { discardRest } from "./http/linger.ts";
import { renderRefusal } from "./http/refusal.ts";
import type { Router } from "./router.ts";
import { SPEAK_TLS } from "./vhost-faces.ts";

/** For the client to read the answer and close its side. */
const LINGER_MS = 5_000;

export type PlainOnTlsOptions = {
  readonly router: Router;
  readonly counters: Counters;
  readonly serverString: string | undefined;
};

/** Answers a client that did not begin with TLS and closes. Nothing of what it sent is read, not even which host it wants. */
export function refusePlainText(
  socket: Socket,
  connection: Connection,
  { router, counters, serverString }: PlainOnTlsOptions,
): void {
  const vhost = router.vhostFor(connection, undefined);
  const { head, page } = renderRefusal(SPEAK_TLS, vhost.headers, serverString);
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.on("error", () => {});
  socket.once("close", () => {
    clearTimeout(timer);
    vhost.counters.connections += 1;
    vhost.counters.rx += socket.bytesRead;
    vhost.counters.tx += socket.bytesWritten;
  });
  settle(counters, {
    vhost,
    remoteAddress: connection.remoteAddress,
    requestLine: undefined,
    status: SPEAK_TLS.status,
    bytes: page.length,
    startedAt: performance.now(),
    mark: "rejected",
  });
  socket.write(head, "latin1");
  socket.write(page);
  discardRest(socket);
}
