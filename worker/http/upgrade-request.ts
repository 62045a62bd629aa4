// A request to leave HTTP: whoever gets it answers exactly once, by reject() or by taking the socket and saying accepted().

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { HeaderPair } from "../../config/vhost.ts";
import type { Counters } from "../counters.ts";
import type { SiteVhost } from "../router.ts";
import type { Client } from "./connection.ts";
import { HttpError, type ByteString } from "./exchange.ts";
import { requestLine } from "./http1-request.ts";
import { CLIENT_LEFT, settle } from "./ledger.ts";
import type { RequestHead } from "./request-head.ts";

export type UpgradeRequest = {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** Bytes that came behind the head of the request. */
  readonly head: Buffer;
  readonly connection: Client;
  readonly vhost: SiteVhost;
  /** As Exchange.path and Exchange.target. */
  readonly path: ByteString;
  readonly target: ByteString;
  /** As Exchange.user; set by whoever checked the password. */
  user: ByteString | undefined;
  /** Answers with an error page and closes; counts and logs a rejected request. */
  reject(status: number, message: string, headers?: readonly HeaderPair[]): void;
  /** Counts and logs the request as switched to another protocol. From here on the socket, its end and its bytes are the caller's. */
  accepted(): void;
};

export type UpgradeParts = Pick<
  UpgradeRequest,
  "request" | "socket" | "head" | "connection" | "vhost"
> & {
  readonly checked: RequestHead;
  readonly counters: Counters;
  readonly startedAt: number;
  /** Writes a complete answer and closes; returns the bytes of its body. */
  readonly write: (refusal: HttpError) => number;
  readonly onSettled: (accepted: boolean) => void;
};

const SWITCHED = 101;

/** Makes an upgrade request that is settled once, at the latest when its socket closes. */
export function createUpgradeRequest(parts: UpgradeParts): UpgradeRequest {
  const { request, socket, head, connection, vhost, checked } = parts;
  let isSettled = false;

  function end(status: number, bytes: number, mark: "upgraded" | "refused" | "aborted"): void {
    isSettled = true;
    socket.off("close", onClose);
    settle(parts.counters, {
      vhost,
      remoteAddress: connection.remoteAddress,
      user: upgrade.user,
      requestId: connection.requestId,
      requestLine: requestLine(request),
      referer: request.headers.referer,
      userAgent: request.headers["user-agent"],
      status,
      bytes,
      startedAt: parts.startedAt,
      mark,
    });
    parts.onSettled(mark === "upgraded");
  }

  function onClose(): void {
    end(CLIENT_LEFT, 0, "aborted");
  }

  socket.once("close", onClose);
  const upgrade: UpgradeRequest = {
    request,
    socket,
    head,
    connection,
    vhost,
    path: checked.path,
    target: checked.target,
    user: undefined,
    reject(status, message, headers = []) {
      if (isSettled) return;
      end(status, parts.write(new HttpError(status, message, { headers })), "refused");
    },
    accepted() {
      if (!isSettled) end(SWITCHED, 0, "upgraded");
    },
  };
  return upgrade;
}
