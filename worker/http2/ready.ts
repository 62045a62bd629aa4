// Requests whose answer is ready in memory: it is put out at once, without an exchange or a stream of its own, from frames that were
// made before. What a client gets is what Exchange.send would have sent.

import type { ByteString } from "../http/exchange.ts";
import { CONDITIONAL_FIELDS } from "../http/lane-fields.ts";
import type { ReadyRequest } from "../http/lane-head.ts";
import type { PreparedReply } from "../http/prepared.ts";
import type { MountMatch } from "../router.ts";
import type { SiteVhost } from "../site-vhost.ts";
import type { Http2Head } from "./request-head.ts";
import type { RequestHost } from "./request-host.ts";
import type { Ending } from "./unsettled.ts";

const BAD_REQUEST = 400;
const NO_BODY = Buffer.alloc(0);

/** A request that can be answered from memory, as often as it comes. Of its fields nothing is looked at again. */
export class ReadyRequests {
  readonly vhost: SiteVhost;
  readonly #match: MountMatch;
  readonly #view: View;
  readonly #requestLine: ByteString;
  readonly #referer: ByteString | undefined;
  readonly #userAgent: ByteString | undefined;
  /** Of the last answer, in the hope that the next one is the same. */
  #ending: Ending | undefined;

  constructor(view: View, request: Http2Head, vhost: SiteVhost, match: MountMatch) {
    this.vhost = vhost;
    this.#match = match;
    this.#view = view;
    this.#requestLine = request.requestLine;
    this.#referer = view.header("referer");
    this.#userAgent = view.header("user-agent");
  }

  /** Answers one; false where the mount is not ready or the windows are too small, and nothing was done. */
  answer(host: RequestHost, stream: number): boolean {
    const match = this.#match;
    const reply = askReady(match, this.#view);
    // Pages that are configured are found on the other way.
    if (!reply || (match.headers.pages && reply.status >= BAD_REQUEST)) return false;
    const isHead = this.#view.method === "HEAD";
    const body = isHead ? NO_BODY : reply.body;
    const frames = host.context.blocks.frames(reply, match.headers, isHead);
    if (!host.putReady(stream, frames, body)) return false;
    this.#settle(host, reply.status, body.length);
    return true;
  }

  #settle(host: RequestHost, status: number, bytes: number): void {
    const last = this.#ending;
    if (last?.outcome.status === status && last.outcome.bytes === bytes)
      if (host.unsettled.repeat(last)) return;
    this.#ending = host.unsettled.add({
      vhost: this.vhost,
      tally: this.#match.tally,
      remoteAddress: host.connection.remoteAddress,
      requestLine: this.#requestLine,
      referer: this.#referer,
      userAgent: this.#userAgent,
      status,
      bytes,
      startedAt: host.readAt,
    });
  }
}

/** A request without a body that its mount may have an answer for; undefined where it never has, or somebody must be asked first. */
export function readyRequests(
  request: Http2Head,
  vhost: SiteVhost,
  match: MountMatch,
): ReadyRequests | undefined {
  const { method, path } = request.head;
  if (!match.mount.ready || match.guard || vhost.identify) return undefined;
  if (method !== "GET" && method !== "HEAD") return undefined;
  if (match.headers.pages?.isDocument(path)) return undefined;
  return new ReadyRequests(new View(request, method), request, vhost, match);
}

function askReady({ mount, rest }: MountMatch, view: View): PreparedReply | undefined {
  try {
    const reply = mount.ready?.(view, rest);
    if (!(reply instanceof Promise)) return reply;
    // It is being fetched for those that come later.
    reply.catch(ignore);
  } catch {
    // It fails again where it is told.
  }
  return undefined;
}

class View implements ReadyRequest {
  readonly method: "GET" | "HEAD";
  /** Whoever kept this would keep the request with it. */
  readonly fields = undefined;
  readonly #request: Http2Head;

  constructor(request: Http2Head, method: "GET" | "HEAD") {
    this.#request = request;
    this.method = method;
  }

  get path(): ByteString {
    return this.#request.head.path;
  }
  get query(): ByteString | undefined {
    return this.#request.head.query;
  }
  get target(): ByteString {
    return this.#request.head.target;
  }
  get now(): number {
    return performance.now();
  }
  get isConditional(): boolean {
    return this.#request.fields.some(([name]) => CONDITIONAL_FIELDS.includes(name));
  }

  /** Several are joined (RFC 9110 5.3); of cookies nobody asks here. */
  header(name: string): ByteString | undefined {
    let value: ByteString | undefined;
    for (const field of this.#request.fields)
      if (field[0] === name) value = value === undefined ? field[1] : `${value}, ${field[1]}`;
    return value;
  }
}

function ignore(): void {}
