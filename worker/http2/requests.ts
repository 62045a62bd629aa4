// A checked block of fields becomes an exchange on its stream, and the vhost's mount answers; or it is refused, as HTTP/1.1
// would refuse it, or reset.

import type { HeaderPair } from "../../config/vhost.ts";
import { bodyLimit, limitBody, refuseLength } from "../http/body-limit.ts";
import type { Client, Connection } from "../http/connection.ts";
import { dispatch } from "../http/dispatch.ts";
import { settle } from "../http/ledger.ts";
import type { HttpError } from "../http/exchange.ts";
import { EMPTY_HEAD, pairFields, type RequestHead } from "../http/request-head.ts";
import { withRequestId } from "../http/response-head.ts";
import { noSeat } from "../limits.ts";
import type { MountMatch } from "../router.ts";
import type { SiteVhost } from "../site-vhost.ts";
import type { RequestHost } from "./request-host.ts";
import { Http2Exchange } from "./exchange.ts";
import type { DecodedFields } from "./hpack-decoder.ts";
import { readyRequests, type ReadyRequests } from "./ready.ts";
import { readRequest, type HeadVerdict } from "./request-head.ts";
import type { Stream } from "./stream.ts";
import { StreamBody } from "./stream-body.ts";
import { openTunnel } from "./tunnel.ts";

const BAD_REQUEST = 400;

/** Where a request has come to. */
type Place = {
  readonly vhost: SiteVhost;
  readonly match: MountMatch | undefined;
  /** The vhost has no place for another connection. */
  readonly full: HttpError | undefined;
  readonly endsStream: boolean;
};

/** Takes the request of a new stream. What is returned has answered it from memory, and can do so again for the same fields. */
export function beginRequest(
  host: RequestHost,
  id: number,
  decoded: DecodedFields,
  endsStream: boolean,
): ReadyRequests | undefined {
  const verdict = readRequest(decoded, endsStream, host.context.requestLimits);
  if (verdict.kind === "malformed") {
    refuseMalformed(host);
    host.faultStream(host.addStream(id), verdict.reason);
    return undefined;
  }
  const vhost = host.residence.choose(headOf(verdict).authority?.host);
  const full = host.residence.takeSeat() ? undefined : noSeat();
  const match = verdict.kind === "request" ? vhost.match(verdict.request.head.path) : undefined;
  if (verdict.kind === "request" && match && endsStream && !full) {
    const ready = readyRequests(verdict.request, vhost, match);
    if (ready?.answer(host, id)) return ready;
  }
  beginExchange(host, host.addStream(id), verdict, { vhost, match, full, endsStream });
  return undefined;
}

/** The mount answers, or nobody. */
function beginExchange(
  host: RequestHost,
  stream: Stream,
  verdict: Exclude<HeadVerdict, { kind: "malformed" }>,
  { vhost, match, full, endsStream }: Place,
): void {
  const { counters, log, serverString, encoder } = host.context;
  stream.isRemoteDone = endsStream;
  const head = headOf(verdict);
  const sent = verdict.kind === "request" ? verdict.request.fields : [];
  const { client, fields } = identify(vhost, host.connection, sent);
  if (verdict.kind === "request") {
    stream.priority = verdict.request.priority;
    stream.announcedBytes = head.bodyBytes;
    if (verdict.request.protocol !== undefined)
      return openTunnel(host, stream, { ...verdict.request, fields }, vhost, client, full);
  }
  const maxBodyBytes = bodyLimit(vhost, match);
  const exchange: Http2Exchange = new Http2Exchange({
    stream,
    head,
    encoder,
    vhost,
    configured: withRequestId(match?.headers ?? vhost.headers, client.requestId),
    connection: client,
    counters,
    tally: match?.tally,
    log,
    serverString,
    fields,
    requestLine: verdict.kind === "request" ? verdict.request.requestLine : verdict.requestLine,
    onEnd: () => host.untrack(exchange),
  });
  stream.exchange = exchange;
  host.track(exchange);
  if (!endsStream) {
    stream.body = new StreamBody((bytes) => host.onConsumed(stream, bytes));
    limitBody(stream.body, maxBodyBytes, (tooLong) => exchange.reject(tooLong));
  }
  const refusal =
    verdict.kind === "refused"
      ? verdict.refusal
      : (full ?? refuseLength(head.bodyBytes, maxBodyBytes));
  if (refusal) exchange.reject(refusal);
  else dispatch(exchange, match, vhost.guard);
}

function headOf(verdict: Exclude<HeadVerdict, { kind: "malformed" }>): RequestHead {
  if (verdict.kind === "request") return verdict.request.head;
  return { ...EMPTY_HEAD, method: verdict.method, version: "2.0" };
}

/** Who is believed to ask; a request may get an identifier among its fields. */
function identify(
  vhost: SiteVhost,
  connection: Connection,
  fields: readonly HeaderPair[],
): { readonly client: Client; readonly fields: readonly HeaderPair[] } {
  if (!vhost.identify) return { client: connection, fields };
  const raw = fields.flat();
  const client = vhost.identify(connection, raw);
  return { client, fields: client.requestId === undefined ? fields : pairFields(raw) };
}

/** No answer, so no exchange; the log and the counters still say that somebody was here. */
function refuseMalformed(host: RequestHost): void {
  settle(host.context.counters, {
    vhost: host.residence.choose(undefined),
    remoteAddress: host.connection.remoteAddress,
    requestLine: undefined,
    status: BAD_REQUEST,
    bytes: 0,
    startedAt: performance.now(),
    mark: "rejected",
  });
}
