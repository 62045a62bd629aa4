// A checked block of fields becomes an exchange on its stream, and the vhost's mount answers; or it is refused, as HTTP/1.1
// would refuse it, or reset.

import type { HeaderPair } from "../../config/vhost.ts";
import { bodyLimit, limitBody, refuseLength } from "../http/body-limit.ts";
import type { Client, Connection } from "../http/connection.ts";
import { dispatch } from "../http/dispatch.ts";
import { settle } from "../http/ledger.ts";
import { EMPTY_HEAD, pairFields, type RequestHead } from "../http/request-head.ts";
import { withRequestId } from "../http/response-head.ts";
import { noSeat } from "../limits.ts";
import type { MountMatch } from "../router.ts";
import type { SiteVhost } from "../site-vhost.ts";
import type { RequestHost } from "./request-host.ts";
import { Http2Exchange } from "./exchange.ts";
import type { DecodedFields } from "./hpack-decoder.ts";
import { askReady, findField } from "./ready.ts";
import { readRequest, type HeadVerdict, type Http2Head } from "./request-head.ts";
import type { Stream } from "./stream.ts";
import { StreamBody } from "./stream-body.ts";
import { openTunnel } from "./tunnel.ts";

const BAD_REQUEST = 400;
const NO_BODY = Buffer.alloc(0);

/** Takes a request off a new stream. */
export function beginRequest(
  host: RequestHost,
  stream: Stream,
  decoded: DecodedFields,
  endsStream: boolean,
): void {
  const { counters, log, serverString, encoder, requestLimits } = host.context;
  const verdict = readRequest(decoded, endsStream, requestLimits);
  if (verdict.kind === "malformed") {
    refuseMalformed(host);
    return host.faultStream(stream, verdict.reason);
  }
  stream.isRemoteDone = endsStream;
  const head = headOf(verdict);
  const vhost = host.residence.choose(head.authority?.host);
  const full = host.residence.takeSeat() ? undefined : noSeat();
  const sent = verdict.kind === "request" ? verdict.request.fields : [];
  const { client, fields } = identify(vhost, host.connection, sent);
  if (verdict.kind === "request") {
    stream.priority = verdict.request.priority;
    stream.announcedBytes = head.bodyBytes;
    if (verdict.request.protocol !== undefined)
      return openTunnel(host, stream, { ...verdict.request, fields }, vhost, client, full);
  }
  const match = verdict.kind === "request" ? vhost.match(head.path) : undefined;
  if (verdict.kind === "request" && match && endsStream && !full && !match.guard && !vhost.identify)
    if (answerReady(host, stream, verdict.request, vhost, match)) return;
  const maxBodyBytes = bodyLimit(vhost, match);
  const exchange: Http2Exchange = new Http2Exchange({
    stream,
    head,
    encoder,
    vhost,
    configured: withRequestId(match?.headers ?? vhost.headers, client.requestId),
    connection: client,
    counters,
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

/** Answers from memory, where that is possible. */
function answerReady(
  host: RequestHost,
  stream: Stream,
  request: Http2Head,
  vhost: SiteVhost,
  match: MountMatch,
): boolean {
  const { pages } = match.headers;
  // Pages that are configured are found on the other way.
  if (pages?.isDocument(request.head.path)) return false;
  const reply = askReady(match, request);
  if (!reply || (pages && reply.status >= BAD_REQUEST)) return false;
  const body = request.head.method === "HEAD" ? NO_BODY : reply.body;
  return host.putReady(stream, host.context.blocks.get(reply, match.headers), body, {
    vhost,
    remoteAddress: host.connection.remoteAddress,
    requestLine: request.requestLine,
    referer: findField(request, "referer"),
    userAgent: findField(request, "user-agent"),
    status: reply.status,
    bytes: body.length,
    startedAt: host.readAt,
  });
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
